package limits

// Writing is what one write is held to, whatever was written before.
type Writing struct {
	RequestBytes, LabelsPerSeries, LabelNameBytes, LabelValueBytes, ExemplarsPerRequest, MetadataPerRequest Bound
}

// Writing returns what a write is held to, the smaller ones of tenant and key.
func (g *Grant) Writing() Writing {
	return Writing{
		RequestBytes:        g.least("request_bytes", func(l *Limits) int64 { return l.RequestBytes }),
		LabelsPerSeries:     g.least("labels_per_series", func(l *Limits) int64 { return l.LabelsPerSeries }),
		LabelNameBytes:      g.least("label_name_bytes", func(l *Limits) int64 { return l.LabelNameBytes }),
		LabelValueBytes:     g.least("label_value_bytes", func(l *Limits) int64 { return l.LabelValueBytes }),
		ExemplarsPerRequest: g.least("exemplars_per_request", func(l *Limits) int64 { return l.ExemplarsPerRequest }),
		MetadataPerRequest:  g.least("metadata_per_request", func(l *Limits) int64 { return l.MetadataPerRequest }),
	}
}
