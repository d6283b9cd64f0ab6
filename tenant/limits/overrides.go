package limits

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
)

// Overrides is a JSON object of some limits by their names, in place of the defaults. Empty is none.
type Overrides string

// Over returns base with the overrides in place of what they name. An unknown name, a bad value or a text that is not an
// object is an error, with base; limits that do not go together are an error with the limits.
func (o Overrides) Over(base Limits) (Limits, error) {
	if o == "" {
		return base, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(o)))
	d.DisallowUnknownFields()
	l := base
	if err := d.Decode(&l); err != nil {
		return base, fmt.Errorf("cannot read the limits: %w", err)
	}
	if d.More() {
		return base, fmt.Errorf("cannot read the limits: there is more than one JSON object")
	}
	return l, l.Validate()
}

// MarshalJSON returns the object.
func (o Overrides) MarshalJSON() ([]byte, error) {
	if o == "" {
		return []byte("{}"), nil
	}
	return []byte(o), nil
}

// UnmarshalJSON takes an object in its one form: sorted, without what is null, empty where nothing is left. Names are
// checked here, because the decoder would take them in any case; values are left to Over.
func (o *Overrides) UnmarshalJSON(b []byte) error {
	var p Patch
	if err := p.UnmarshalJSON(b); err != nil {
		return err
	}
	var err error
	*o, err = p.Over("")
	return err
}

// Patch is a JSON object of some limits by their names: others stay as they are, and null takes one back.
type Patch map[string]json.RawMessage

// UnmarshalJSON refuses names that are none.
func (p *Patch) UnmarshalJSON(b []byte) error {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &all); err != nil {
		return fmt.Errorf("limits: are not a JSON object: %w", err)
	}
	known := map[string]bool{}
	for _, f := range (Limits{}).fields() {
		known[f.name] = true
	}
	for name := range all {
		if !known[name] {
			return fmt.Errorf("limits: there is no %q", name)
		}
	}
	*p = all
	return nil
}

// Over returns what overrides become by the patch, in their one form.
func (p Patch) Over(o Overrides) (Overrides, error) {
	all := map[string]json.RawMessage{}
	if o != "" {
		if err := json.Unmarshal([]byte(o), &all); err != nil {
			return o, fmt.Errorf("cannot read the limits: %w", err)
		}
	}
	maps.Copy(all, p)
	maps.DeleteFunc(all, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	if len(all) == 0 {
		return "", nil
	}
	text, err := json.Marshal(all)
	return Overrides(text), err
}
