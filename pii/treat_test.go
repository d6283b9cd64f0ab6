package pii

import (
	"slices"
	"strings"
	"testing"
)

func TestActions(t *testing.T) {
	const value = "alice@example.com at 10.0.0.1"
	s := func(email, ipv4 Action) Policy {
		return policyOf(t, Settings{Detectors: map[string]Action{"email": email, "ipv4": ipv4, "iban": Off}})
	}
	for _, c := range []struct {
		p       Policy
		verdict Verdict
		want    string
	}{
		{s(Report, Report), Keep, value},
		{s(Mask, Report), Change, "[email] at 10.0.0.1"},
		{s(Mask, Mask), Change, "[email] at [ipv4]"},
		{s(Off, Mask), Change, "alice@example.com at [ipv4]"},
		{s(Mask, Drop), Leave, ""},
		{s(Drop, Refuse), Reject, ""},
		{Policy{}, Keep, value},
	} {
		got := c.p.Treat("user", value)
		if got.Verdict != c.verdict || got.Value != c.want {
			t.Errorf("%v: %+v, want %v %q", c.p.Settings(), got, c.verdict, c.want)
		}
		if got.Verdict != Keep {
			if hidden := c.p.Hide("user", value); strings.Contains(hidden, "alice@") && strings.Contains(hidden, "10.0.0.1") {
				t.Errorf("%v shows %q", c.p.Settings(), hidden)
			}
		}
	}
	p := s(Refuse, Report)
	var names []string
	for f := range p.Findings(p.Treat("user", value).Found) {
		names = append(names, f.Detector+" "+string(f.Action))
	}
	if want := []string{"email refuse", "ipv4 report"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

// TestHash keeps equal values equal, and different ones, and those of different tenants, different.
func TestHash(t *testing.T) {
	p := only(t, "email", Hash)
	a, b := p.Treat("l", "alice@example.com").Value, p.Treat("l", "bob@example.com").Value
	if a == b || len(a) != len("[email:]")+16 || p.Treat("m", "<alice@example.com>").Value != "<"+a+">" {
		t.Errorf("%q %q", a, b)
	}
	other, elsewhere := p, p
	other.tenant = "b"
	elsewhere.secret = []byte("another secret!!")
	if other.Treat("l", "alice@example.com").Value == a || elsewhere.Treat("l", "alice@example.com").Value == a {
		t.Error("the hash is the same for another tenant, or with another secret")
	}
	if again := p.Treat("l", a); again.Verdict != Keep {
		t.Errorf("%+v", again)
	}
}

// TestNames keeps names of metrics valid.
func TestNames(t *testing.T) {
	for a, want := range map[Action]string{Mask: "_email_", Hash: "_email_" + strings.Trim(only(t, "email", Hash).Treat("l", "x@y.zz").Value, "[]")[len("email:"):] + "_"} {
		if got := only(t, "email", a).Treat(NameLabel, "x@y.zz"); got.Verdict != Change || got.Value != want {
			t.Errorf("%s: %+v, want %q", a, got, want)
		}
	}
	for _, a := range []Action{Drop, Refuse} {
		if got := only(t, "email", a).Treat(NameLabel, "x@y.zz"); got.Verdict != Reject {
			t.Errorf("%s: %+v", a, got)
		}
	}
	p := policyOf(t, Settings{Patterns: []Pattern{{"word", "[a-z]+", Mask}}})
	if got := p.Treat(NameLabel, "up_total"); got.Value != "_word_____word_" && got.Value != "_word___word_" {
		t.Errorf("%+v", got)
	} else if again := p.Treat(NameLabel, got.Value); again.Verdict != Keep {
		t.Errorf("again: %+v", again)
	}
}

func TestExempt(t *testing.T) {
	p := policyOf(t, Settings{
		Detectors: map[string]Action{"ipv4": Mask, "email": Drop},
		Exempt:    map[string][]string{"instance": {"ipv4"}, "owner": {"*"}, "other": {"iban"}},
	})
	for label, want := range map[string]string{"instance": "10.0.0.1:80", "owner": "10.0.0.1:80", "other": "[ipv4]:80", "pod_ip": "[ipv4]:80"} {
		if got := p.Treat(label, "10.0.0.1:80").Value; got != want {
			t.Errorf("%s: %q, want %q", label, got, want)
		}
	}
	if p.Treat("instance", "a@b.cc").Verdict != Leave || p.Treat("owner", "a@b.cc").Verdict != Keep {
		t.Error("the detectors that look at a label are the wrong ones")
	}
}

// TestNothingIsLeft: what was found stands nowhere in the result, also where no detector would find it, and findings that
// overlap leave no rest.
func TestNothingIsLeft(t *testing.T) {
	p := all(t, Mask)
	for value, want := range map[string]string{
		"1.2.3.4 v1.2.3.4":                  "[ipv4] v[ipv4]",
		"x@a.com+491701234567":              "[email][phone]", // a number only once the address is gone
		"::ffff:10.0.0.1 and 10.0.0.1":      "[ipv6] and [ipv4]",
		"4111111111111111@bank.example.com": "[email]",
	} {
		if got := p.Treat("l", value).Value; got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func FuzzTreat(f *testing.F) {
	for name := range found {
		for _, c := range found[name] {
			f.Add(c[0])
		}
		for _, c := range clean[name] {
			f.Add(c)
		}
	}
	for _, c := range everyday {
		f.Add(c)
	}
	f.Add(many())
	policies := []Policy{all(f, Mask), all(f, Hash)}
	f.Fuzz(func(t *testing.T, value string) {
		for _, p := range policies {
			for _, label := range []string{"l", NameLabel} {
				spans := p.rules.find(nil, value, ^Set(0))
				for _, s := range spans {
					if s.from < 0 || s.from >= s.to || s.to > len(value) {
						t.Fatalf("%q: %+v", value, s)
					}
				}
				got := p.Treat(label, value)
				if (got.Verdict == Keep) != (len(spans) == 0) || got.Verdict == Keep && got.Value != value {
					t.Fatalf("%q: %+v, %d findings", value, got, len(spans))
				}
				for _, s := range spans {
					if strings.Contains(got.Value, value[s.from:s.to]) {
						t.Fatalf("%q: %q still has %q", value, got.Value, value[s.from:s.to])
					}
				}
				if again := p.Treat(label, got.Value); again.Verdict != Keep {
					t.Fatalf("%q: became %q, and again %q", value, got.Value, again.Value)
				}
			}
		}
	})
}

func BenchmarkTreat(b *testing.B) {
	p := all(b, Mask)
	for name, values := range map[string][]string{"everyday": everyday, "email": {"mail to alice@example.com now"}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, v := range values {
					p.Treat("l", v)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(values)), "ns/value")
		})
	}
}
