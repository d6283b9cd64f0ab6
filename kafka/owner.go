package kafka

// Has reports whether this consumer has claimed a partition at the moment. It is how the members of a group agree,
// without asking each other, on one that does what only one of them should: whoever has the partition does it. A
// member that has just lost it may still think for a moment that it has it.
func (c *Consumer) Has(partition int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for cl := range c.claims {
		if cl.partition == partition {
			return true
		}
	}
	return false
}
