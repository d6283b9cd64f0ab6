package db

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/retention"
)

// maxClasses bounds how many former classes of a tenant are known: samples of those before may not be found any more.
const maxClasses = 32

// Classes returns the retention classes that a tenant was given, the newest first, for [retention.Policies.Assign]. They must
// not be changed.
func (s *Snapshot) Classes(tenant string) []retention.Assignment { return s.tenants[tenant].classes }

// assign notes that a tenant has another class than before.
func (d *DB) assign(t *Tenant) error {
	if t.RetentionClass != 0 && !slices.Contains(d.classes, t.RetentionClass) {
		known := "retention.classes has none"
		if len(d.classes) > 0 {
			known = "retention.classes has " + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(d.classes), "[]")), ", ")
		}
		return store.Invalidf("retention_class: there is no class %d; %s, and 0 is what the configuration says", t.RetentionClass, known)
	}
	now := retention.Assignment{Class: t.RetentionClass, SinceMs: d.now().UnixMilli()}
	t.classes = append([]retention.Assignment{now}, t.classes[:min(len(t.classes), maxClasses-1)]...)
	return nil
}

// encodeClasses and decodeClasses are for the column class_history.
func encodeClasses(all []retention.Assignment) string {
	if len(all) == 0 {
		return ""
	}
	return string(encode(all))
}

func decodeClasses(s string) (all []retention.Assignment, err error) {
	if s == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(s), &all); err != nil {
		return nil, fmt.Errorf("cannot read the history of retention classes: %w", err)
	}
	return all, nil
}
