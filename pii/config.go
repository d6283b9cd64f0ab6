package pii

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Settings say what is done with personal data. The zero value looks for none.
type Settings struct {
	// Detectors are the built-in ones with what each of them does; one that is not named is off.
	Detectors map[string]Action `yaml:"detectors" json:"detectors,omitempty"`

	// Patterns are detectors of one's own.
	Patterns []Pattern `yaml:"patterns" json:"patterns,omitempty"`

	// Exempt are labels, each with the detectors that do not look at it; "*" is all of them. Metadata is the labels __name__,
	// __help__ and __unit__.
	Exempt map[string][]string `yaml:"exempt" json:"exempt,omitempty"`
}

// Pattern is a detector by a regular expression (RE2), which finds it anywhere in a value.
type Pattern struct {
	Name   string `yaml:"name" json:"name"`
	Regex  string `yaml:"regex" json:"regex"`
	Action Action `yaml:"action" json:"action"`
}

// Config is the section `pii` of the configuration: the settings of tenants that have none of their own.
type Config struct {
	Settings `yaml:",inline"`

	// HashSecret is what the keys of hashes are made of, another one for each tenant. Empty is the secret in the metadata
	// database. Who changes it makes other series of the same labels.
	HashSecret string `yaml:"hash_secret"`
}

// DefaultConfig returns the defaults: nothing is looked for. Once something is, a label "version" is not taken for an address.
func DefaultConfig() Config {
	return Config{Settings: Settings{Detectors: map[string]Action{}, Exempt: map[string][]string{"version": {"ipv4"}}}}
}

const (
	maxPatterns    = 20
	maxNameBytes   = 40
	maxRegexBytes  = 500
	maxExempt      = 1000
	minSecretBytes = 16
)

// Validate checks the section; its errors name the key and never show the secret.
func (c Config) Validate() error {
	if n := len(c.HashSecret); n > 0 && n < minSecretBytes {
		return fmt.Errorf("pii.hash_secret: has %d bytes, at least %d are needed; such as the output of `openssl rand -hex 32`", n, minSecretBytes)
	}
	if err := c.Settings.Validate(); err != nil {
		return fmt.Errorf("pii.%w", err)
	}
	return nil
}

// Redacted returns the section with its secret replaced.
func (c Config) Redacted() Config {
	if c.HashSecret != "" {
		c.HashSecret = "xxxxx"
	}
	return c
}

// Validate checks the settings; errors name the field.
func (s Settings) Validate() error {
	for _, name := range slices.Sorted(maps.Keys(s.Detectors)) {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("detectors: there is no %q; there are %s, and patterns of your own", name, strings.Join(Names(), ", "))
		}
		if a := s.Detectors[name]; !a.valid() {
			return fmt.Errorf("detectors.%s: is %q; set it to %s", name, a, actions)
		}
	}
	if len(s.Patterns) > maxPatterns {
		return fmt.Errorf("patterns: there are %d, at most %d are allowed", len(s.Patterns), maxPatterns)
	}
	seen := Names()
	for _, p := range s.Patterns {
		if err := p.validate(); err != nil {
			return err
		}
		if slices.Contains(seen, p.Name) {
			return fmt.Errorf("patterns: there is another detector with the name %q", p.Name)
		}
		seen = append(seen, p.Name)
	}
	if len(s.Exempt) > maxExempt {
		return fmt.Errorf("exempt: has %d labels, at most %d are allowed", len(s.Exempt), maxExempt)
	}
	return nil
}

func (p Pattern) validate() error {
	if p.Name == "" || len(p.Name) > maxNameBytes || strings.ContainsFunc(p.Name, func(r rune) bool { return r != '_' && (r > 'z' || !isAlnum(byte(r))) }) {
		return fmt.Errorf("patterns: the name %q is not of 1 to %d letters, digits and underscores", p.Name, maxNameBytes)
	}
	if !p.Action.valid() {
		return fmt.Errorf("patterns: the action of %s is %q; set it to %s", p.Name, p.Action, actions)
	}
	if len(p.Regex) > maxRegexBytes {
		return fmt.Errorf("patterns: the regex of %s has %d bytes, at most %d are allowed", p.Name, len(p.Regex), maxRegexBytes)
	}
	re, err := regexp.Compile(p.Regex)
	if err != nil {
		return fmt.Errorf("patterns: the regex of %s: %w", p.Name, err)
	}
	if re.MatchString("") {
		return fmt.Errorf("patterns: the regex of %s finds something in an empty text", p.Name)
	}
	return nil
}

// over returns base with what s says in its place: detectors and exempt labels by their names, patterns by theirs.
func (s Settings) over(base Settings) Settings {
	out := Settings{Detectors: maps.Clone(base.Detectors), Exempt: maps.Clone(base.Exempt)}
	if out.Detectors == nil {
		out.Detectors = map[string]Action{}
	}
	if out.Exempt == nil {
		out.Exempt = map[string][]string{}
	}
	maps.Copy(out.Detectors, s.Detectors)
	maps.Copy(out.Exempt, s.Exempt)
	for _, p := range base.Patterns {
		if !slices.ContainsFunc(s.Patterns, func(own Pattern) bool { return own.Name == p.Name }) {
			out.Patterns = append(out.Patterns, p)
		}
	}
	out.Patterns = append(out.Patterns, s.Patterns...)
	return out
}

// Overrides are a tenant's own settings as a JSON object of [Settings], in place of what they name of the configuration's.
// Empty is none.
type Overrides string

// MaxOverrides bounds their length, in bytes.
const MaxOverrides = 32 << 10

// Over returns base with what the overrides say in its place. Overrides that cannot be read are an error.
func (o Overrides) Over(base Settings) (Settings, error) {
	if o == "" {
		return base, nil
	}
	s, err := parse([]byte(o))
	if err != nil {
		return Settings{}, err
	}
	merged := s.over(base)
	return merged, merged.Validate()
}

// On returns overrides that are, over any settings, what o is over base over them. Where one of the two cannot be read it is
// the other.
func (o Overrides) On(base Overrides) Overrides {
	if o == "" || base == "" {
		return o + base
	}
	under, err := parse([]byte(base))
	if err != nil {
		return o
	}
	over, err := parse([]byte(o))
	if err != nil {
		return base
	}
	text, err := json.Marshal(over.over(under))
	if err != nil {
		return o
	}
	return Overrides(text)
}

func parse(raw []byte) (s Settings, err error) {
	if len(raw) > MaxOverrides {
		return s, fmt.Errorf("cannot read the settings: they have %d bytes, at most %d are allowed", len(raw), MaxOverrides)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Settings{}, fmt.Errorf("cannot read the settings: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Settings{}, errors.New("cannot read the settings: something comes behind the JSON object")
	}
	return s, s.Validate()
}

// MarshalJSON returns the object.
func (o Overrides) MarshalJSON() ([]byte, error) {
	if o == "" {
		return []byte("{}"), nil
	}
	return []byte(o), nil
}

// UnmarshalJSON takes an object that says something valid, and puts it into its one form: empty where it says nothing.
func (o *Overrides) UnmarshalJSON(raw []byte) error {
	s, err := parse(raw)
	if err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if *o = Overrides(text); *o == "{}" {
		*o = ""
	}
	return err
}
