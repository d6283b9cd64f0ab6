package db

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/retention"
)

// TestRetentionClasses are given to a tenant here and seen there, with those before.
func TestRetentionClasses(t *testing.T) {
	onBoth(t, func(t *testing.T, b *backend) {
		b.classes = []uint8{3, 7}
		c := newClock()
		here, there := b.open(t, c), b.open(t, c)
		ctx := t.Context()
		set := func(class uint8) error {
			_, err := here.UpdateTenant(ctx, root, store.DefaultTenant, func(t *Tenant) { t.RetentionClass = class })
			return err
		}
		if err := set(4); store.KindOf(err) != store.KindInvalid || !strings.Contains(err.Error(), "retention.classes has 3, 7") {
			t.Errorf("a class that is not there: %v", err)
		}
		var want []retention.Assignment
		for _, class := range []uint8{7, 7, 0, 3} { // the same class again is no change
			if err := set(class); err != nil {
				t.Fatal(err)
			}
			if len(want) == 0 || want[0].Class != class {
				want = append([]retention.Assignment{{Class: class, SinceMs: c.Now().UnixMilli()}}, want...)
			}
			c.forward(time.Hour)
		}
		if _, err := here.UpdateTenant(ctx, root, store.DefaultTenant, func(t *Tenant) { t.Description = "d" }); err != nil {
			t.Fatal(err)
		}
		within(t, "the classes there", func() bool {
			return slices.Equal(there.Snapshot().Classes(store.DefaultTenant), want) && len(there.Snapshot().Classes("nobody")) == 0
		})
		log, err := here.Audit(ctx, root, 3, 1)
		if err != nil || !strings.Contains(string(log[0].After), `"retention_class":7`) {
			t.Errorf("%s, %v", log[0].After, err)
		}
		for range 2 * maxClasses {
			if err := set(3 + 4*uint8(len(here.Snapshot().Classes(store.DefaultTenant))%2)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(here.Snapshot().Classes(store.DefaultTenant)); n > maxClasses {
			t.Errorf("%d classes are remembered", n)
		}
	})
}
