package clickhouse

// SetSliceRows makes the statements that compare small, for tests.
func (h *Shadow) SetSliceRows(n uint64) { h.sliceRows = n }
