package limits

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

func TestOverrides(t *testing.T) {
	base := Limits{ActiveSeries: 7, SamplesPerSecond: 9}
	for _, c := range []struct {
		text    Overrides
		want    Limits
		problem string
	}{
		{text: "", want: base},
		{text: "{}", want: base},
		{text: `{"active_series": 0, "query_range": "30d"}`, want: Limits{SamplesPerSecond: 9, QueryRange: model.Duration(30 * 24 * time.Hour)}},
		{text: `{"active": 1}`, problem: `"active"`},
		{text: `{"active_series": -1}`, problem: "limits.active_series: -1 is negative"},
		{text: `{"active_series": "many"}`, problem: "active_series"},
		{text: `{"samples_per_second": 0, "samples_burst": 5}`, problem: "limits.samples_burst"},
		{text: `[]`, problem: "cannot read the limits"},
		{text: `{} {}`, problem: "more than one"},
	} {
		got, err := c.text.Over(base)
		if c.problem == "" {
			if err != nil || got != c.want {
				t.Errorf("%s: got %+v, %v", c.text, got, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: got error %v, want %q in it", c.text, err, c.problem)
		}
	}
}

// TestOverridesInJSON have one form, and none where nothing is set.
func TestOverridesInJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"query_range":"1d", "active_series" : 5, "query_series":null}`: `{"active_series":5,"query_range":"1d"}`,
		`{}`: `{}`, `{"query_series":null}`: `{}`, `null`: `{}`,
	} {
		var o Overrides
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got, err := json.Marshal(o); err != nil || string(got) != want || (o == "") != (want == "{}") {
			t.Errorf("%s: got %s %q, %v", text, got, o, err)
		}
	}
	for _, bad := range []string{`[]`, `"x"`, `{"Active_Series":1}`, `{"x":1}`} {
		if err := json.Unmarshal([]byte(bad), new(Overrides)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestFields: no limit is left out of what Validate looks at.
func TestFields(t *testing.T) {
	typ := reflect.TypeFor[Limits]()
	fields := Limits{}.fields()
	if len(fields) != typ.NumField() {
		t.Fatalf("%d of %d limits are checked", len(fields), typ.NumField())
	}
	for i, f := range fields {
		if tag := typ.Field(i).Tag; tag.Get("json") != f.name || tag.Get("yaml") != f.name {
			t.Errorf("%s is %s", f.name, tag)
		}
	}
}
