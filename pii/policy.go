package pii

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"math/bits"
	"regexp"

	"github.com/zeebo/xxh3"
)

// detector is a detector that is not off.
type detector struct {
	name   string
	action Action
	may    func(census) bool
	find   func([]span, string) []span
	own    *regexp.Regexp // of a pattern, which has neither of the two above
}

// rules are settings made ready. They do not change.
type rules struct {
	settings    Settings
	fingerprint uint64
	detectors   []detector // at most 64, for Set
	exempt      map[string]Set
}

// compile makes settings ready; nil is that everything is off.
func compile(s Settings) (*rules, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the settings: %w", err)
	}
	r := &rules{settings: s, fingerprint: xxh3.Hash(raw) | 1, exempt: map[string]Set{}}
	for _, b := range builtins() {
		if a := s.Detectors[b.name]; a != "" && a != Off {
			r.detectors = append(r.detectors, detector{name: b.name, action: a, may: b.may, find: b.find})
		}
	}
	for _, p := range s.Patterns {
		if p.Action == Off {
			continue
		}
		re, err := regexp.Compile(p.Regex)
		if err != nil {
			return nil, fmt.Errorf("cannot compile the pattern %s: %w", p.Name, err)
		}
		re.Longest()
		r.detectors = append(r.detectors, detector{name: p.Name, action: p.Action, own: re})
	}
	if len(r.detectors) == 0 {
		return nil, nil
	}
	for label, names := range s.Exempt {
		r.exempt[label] = r.named(names)
	}
	return r, nil
}

// named returns the set of the detectors of these names.
func (r *rules) named(names []string) (set Set) {
	for _, name := range names {
		for i, d := range r.detectors {
			if name == "*" || name == d.name {
				set |= 1 << i
			}
		}
	}
	return set
}

// Set is a set of detectors of one policy.
type Set uint64

// Policy says what is done with one tenant's personal data. It does not change, and may be used from several goroutines at
// once. The zero value does nothing.
type Policy struct {
	rules  *rules
	secret []byte
	tenant string
}

// Active tells whether anything is looked for.
func (p Policy) Active() bool { return p.rules != nil }

// Fingerprint tells policies apart that say different things; 0 is one that is not active.
func (p Policy) Fingerprint() uint64 {
	if p.rules == nil {
		return 0
	}
	return p.rules.fingerprint
}

// Settings are what is in force.
func (p Policy) Settings() Settings {
	if p.rules == nil {
		return Settings{}
	}
	return p.rules.settings
}

// Finding is a detector with what it does.
type Finding struct {
	Detector string
	Action   Action

	// Own says that it is a pattern of the settings.
	Own bool
}

// Findings returns the detectors of a set.
func (p Policy) Findings(set Set) iter.Seq[Finding] {
	return func(yield func(Finding) bool) {
		for ; set != 0; set &= set - 1 {
			d := &p.rules.detectors[bits.TrailingZeros64(uint64(set))]
			if !yield(Finding{d.name, d.action, d.own != nil}) {
				return
			}
		}
	}
}

// hashLetters spell a hash. There are no digits among them, so that no hash looks like a number, and no vowels, so that it
// looks like no word.
const hashLetters = "bcdfghjklmnpqrst"

const hashBytes = 8

// appendHash appends the keyed hash of a text.
func (p Policy) appendHash(dst []byte, text string) []byte {
	key := hmac.New(sha256.New, p.secret)
	key.Write([]byte("metricstream pii\x00" + p.tenant))
	m := hmac.New(sha256.New, key.Sum(nil))
	m.Write([]byte(text))
	for _, b := range m.Sum(nil)[:hashBytes] {
		dst = append(dst, hashLetters[b>>4], hashLetters[b&15])
	}
	return dst
}
