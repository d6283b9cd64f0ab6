package kafka

import (
	"maps"
	"testing"
)

// heldBy returns the claims of a consumer by partition.
func heldBy(c *running) map[int32]*claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := map[int32]*claim{}
	for cl := range c.Consumer.claims {
		held[cl.partition] = cl
	}
	return held
}

// testInstanceComesBack ends consumers that have an instance id, the group's leader too, as a kill does: without a
// word to the group. When they come back nothing has moved, and the other one was not interrupted.
func testInstanceComesBack(t *testing.T, b *backend) {
	w := newTables()
	run := func(id string) *running {
		own := *b
		own.cfg.InstanceID = id
		log, err := OpenBrokers(t.Context(), own.cfg, testLogger(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { log.Close() })
		own.log = log
		return own.consume(t, w, w)
	}
	ids := []string{"one", "two"}
	consumers := []*running{run(ids[0])}
	eventually(t, "the first has all", func() bool { return claims(consumers[0]) == b.log.Partitions })
	consumers = append(consumers, run(ids[1]))
	eventually(t, "both have the half", func() bool {
		return claims(consumers[0]) == b.log.Partitions/2 && claims(consumers[1]) == b.log.Partitions/2
	})
	p := b.producer()
	for i := range consumers {
		had, others := heldBy(consumers[i]), heldBy(consumers[1-i])
		consumers[i].stop() // with an instance id this does not leave the group
		want := b.write(t, p, 1+100*i, 3)
		consumers[i] = run(ids[i])
		eventually(t, "all samples arrive", func() bool { return w.missing(want) == 0 })
		for partition := range heldBy(consumers[i]) {
			if had[partition] == nil {
				t.Errorf("%s came back to partition %d, which it had not", ids[i], partition)
			}
		}
		if !maps.Equal(others, heldBy(consumers[1-i])) {
			t.Errorf("when %s came back the other's partitions were interrupted", ids[i])
		}
	}
}
