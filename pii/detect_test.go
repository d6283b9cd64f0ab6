package pii

import (
	"fmt"
	"strings"
	"testing"
)

// only returns a policy with one detector.
func only(t testing.TB, name string, a Action) Policy {
	t.Helper()
	return policyOf(t, Settings{Detectors: map[string]Action{name: a}})
}

func policyOf(t testing.TB, s Settings) Policy {
	t.Helper()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	r, err := compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return Policy{rules: r, secret: []byte("0123456789abcdef"), tenant: "a"}
}

const (
	header  = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
	payload = "eyJzdWIiOiIxMjM0NTY3ODkwIn0"
	sign    = "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
)

// found are values with what is found in them masked, by detector; clean are values in which it finds nothing.
var found = map[string][][2]string{
	"email": {
		{"alice@example.com", "[email]"},
		{"mail to Alice.B+x@mail.example.co.uk, now", "mail to [email], now"},
		{"/users/alice%40example.com/orders", "/users/[email]/orders"},
		{"?mail=a@b.io&x=1", "?mail=[email]&x=1"},
		{"<bob_1@host-2.example.org>.", "<[email]>."},
		{"a@163.com;b@1und1.de", "[email];[email]"},
		{"jürgen@müller.de", "[email]"},
		{"'x@y.zz'", "'[email]'"},
		{"alice@example.com-old", "[email]-old"},
		{"https://bob:pw@example.com/x", "https://bob:[email]/x"},
	},
	"ipv4": {
		{"10.0.0.1:9100", "[ipv4]:9100"},
		{"192.168.1.0/24", "[ipv4]/24"},
		{"from 8.8.8.8, to 1.1.1.1.", "from [ipv4], to [ipv4]."},
		{"http://203.0.113.7/metrics", "http://[ipv4]/metrics"},
		{"node-172.16.0.9-eth0", "node-[ipv4]-eth0"},
		{"1.2.3.4", "[ipv4]"}, // also a version: the label version is exempt by default
		{"4.3.2.1.in-addr.arpa", "[ipv4].in-addr.arpa"},
	},
	"ipv6": {
		{"2001:db8::1", "[ipv6]"},
		{"[2001:db8:0:1::5]:9100", "[[ipv6]]:9100"},
		{"fe80::1ff:fe23:4567:890a%eth0", "[ipv6]%eth0"},
		{"fd12:3456:789a:1::1/64", "[ipv6]/64"},
		{"::ffff:10.0.0.1", "[ipv6]"},
		{"addr:2a02:8108:96c0:1f00::2.", "addr:[ipv6]."},
		{"2001:0db8:85a3:0000:0000:8a2e:0370:7334", "[ipv6]"},
		{"2001:0db8:85a3:0000:0000:8a2e:0370:7334:80", "[ipv6]:80"},
		{"face:2001:db8:0:0:0:0:0:1", "face:[ipv6]"},
	},
	"phone": {
		{"+491701234567", "[phone]"},
		{"call +1 (415) 555-2671 now", "call [phone] now"},
		{"tel:+44-20-7946-0958", "tel:[phone]"},
		{"?n=%2B4930123456", "?n=[phone]"},
		{"(415) 555-2671", "[phone]"},
		{"+1.415.555.2671", "[phone]"},
	},
	"credit_card": {
		{"4111111111111111", "[credit_card]"},
		{"4111 1111 1111 1111 12/29", "[credit_card] 12/29"},
		{"card=5500-0000-0000-0004;", "card=[credit_card];"},
		{"378282246310005", "[credit_card]"},
		{"3782 822463 10005", "[credit_card]"},
		{"30569309025904", "[credit_card]"},
		{"6011111111111117", "[credit_card]"},
		{"3530111333300000", "[credit_card]"},
		{"order-4111111111111111", "order-[credit_card]"},
	},
	"iban": {
		{"DE89370400440532013000", "[iban]"},
		{"to DE89 3704 0044 0532 0130 00.", "to [iban]."},
		{"gb82west12345698765432", "[iban]"},
		{"NO9386011117947", "[iban]"},
		{"MT84MALT011000012345MTLCAST001S", "[iban]"},
	},
	"jwt": {
		{header + "." + payload + "." + sign, "[jwt]"},
		{"Bearer " + header + "." + payload + "." + sign + " x", "Bearer [jwt] x"},
		{"eyJhbGciOiJub25lIn0." + payload + ".", "[jwt]"},
	},
	"api_key": {
		{"AKIAIOSFODNN7EXAMPLE", "[api_key]"},
		{"key=ghp_" + strings.Repeat("a1", 18), "key=[api_key]"},
		{"github_pat_" + strings.Repeat("A", 22) + "_" + strings.Repeat("b", 59), "[api_key]"},
		{"glpat-" + strings.Repeat("x", 20), "[api_key]"},
		{"xoxb-" + "123456789012-abcdef", "[api_key]"},
		{"sk_live_" + strings.Repeat("4", 24), "[api_key]"},
		{"rk_live_" + strings.Repeat("4", 24), "[api_key]"},
		{"AIza" + strings.Repeat("S", 35), "[api_key]"},
		{"key sk-proj-" + strings.Repeat("aB-_", 12) + ".", "key [api_key]."},
		{"sk-ant-api03-" + strings.Repeat("aB_9", 20), "[api_key]"},
		{"npm_" + strings.Repeat("a1", 18), "[api_key]"},
		{"xapp-1-A0123456789-1234567890123-" + strings.Repeat("0f", 32), "[api_key]"},
		{"SG." + strings.Repeat("a", 22) + "." + strings.Repeat("b", 43), "[api_key]"},
		{"hvs." + strings.Repeat("CAES", 23), "[api_key]"},
		{"ms_0123456789abcdef_" + strings.Repeat("0f", 24), "[api_key]"},
	},
}

var clean = map[string][]string{
	"email": {
		"", "@", "user@host", "git@github.com:org/repo.git", "lodash@4.17.21", "pkg@v1.2.3-beta.rc", "@scope/name@1.0.0", "image@sha256:abc.def",
		"a@b..com", "a@.com", "x@y.z", "@example.com", "a.b.c", "100%40", "foo@10.0.0.1",
	},
	"ipv4": {
		"1.2.3", "v1.2.3.4", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4a", "x1.2.3.4", "127.0.0.1:9100", "0.0.0.0", "0.9.1.2", "255.255.255.255", "1..2.3.4",
		"1.2.3.4567", "ip-10-0-0-1", "120.0.6099.109", "2026-01-02T03:04:05.678Z", "3.141592653589793",
	},
	"ipv6": {
		"::1", "::", "12:34:56", "aa:bb:cc:dd:ee:ff", "std::vector<int>", "fe::fe::", "sha256:abcdef", "2026-01-02T03:04:05", "a:b:c:d:e:f:1:2:3", "Foo::Bar",
		"10.0.0.1:9100", "node:dead::", "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
		"SHA256:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
	},
	"phone": {
		"1767225600", "1767225600000", "+Inf", "+1.5e+10", "2026-01-02T03:04:05+01:00", "+12345678.5", "+0123456789", "+1234567", "+1234567890123456", "1.2.3+20260102120000",
		"550e8400-e29b-41d4-a716-446655440000", "4bf92f3577b34da6a3ce929d0e0e4736", "C++20260101", "(1) 2026-0101", "415-555-2671", "(2026) 123-4567", "+12345678x",
	},
	"credit_card": {
		"4111111111111112", "1767225600000", "1767225600000000000", "4111-1111-1111-1111-1111", "550e8400-4111-1111-1111-111111111111", "0.4111111111111111", "4111111111111111.5",
		"a4111111111111111", "41111111111111111111", "0000000000000000", "4bf92f3577b34da6a3ce929d0e0e4736", "9111111111111111", "4111 1111-1111 1111",
	},
	"iban": {
		"DE89370400440532013001", "DE8937040044053201300", "XX89370400440532013000", "de89370400440532013000ff", "DE89 370 400440532013000", "US12345678901234567890",
		"4bf92f3577b34da6a3ce929d0e0e4736",
	},
	"jwt": {
		header + "." + payload, "eyJhbGciOiJIUzI1NiJ9", "eyJmb28iOiJiYXIifQ." + payload + "." + sign, "xeyJ.a.b", "a.b.c", "eyJ..", "www.example.com/eyJ",
	},
	"api_key": {
		"AKIAIOSFODNN7EXAMPL", "AKIAIOSFODNN7EXAMPLEX", "XAKIAIOSFODNN7EXAMPLE", "ghp_short", "http_server_requests_total", "glpat-x", "xoxo-1234567890123", "sk_test_" + strings.Repeat("4", 24),
		"sk-proj-short", "sk-ant-opus", "sk-learn-pipeline-0123456789-0123456789-0123456789", "npm_config_registry", "npm_" + strings.Repeat("a", 37), "xapp-router", "hvs.example.com",
		"SG." + strings.Repeat("a", 23) + "." + strings.Repeat("b", 42), "SG.eu-west.prod",
		"metricstream", "ms_bucket_latency_histogram", "request_duration_ms_0123456789abcdef",
	},
}

// everyday are values that monitoring is full of, in none of which anything is found but addresses.
var everyday = []string{
	"node-exporter", "api-7d9f8b6c5d-x2x4q", "/api/v1/users/{id}", "GET", "200", "0.99", "+Inf", "1.0e-05", "1767225600.123", "eu-central-1a", "sha256:4bf92f3577b34da6a3ce929d0e0e4736",
	"550e8400-e29b-41d4-a716-446655440000", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4611686018427387904", "go1.26.0", "v1.33.2-gke.100", "kubelet.service", "0x7ffeefbff5c8",
	"/dev/disk/by-uuid/12345678-9012-3456-7890-123456789012", "ip-10-0-0-1.eu-west-1.compute.internal", "docker.io/library/nginx:1.27.3@sha256:0a399eb16751829e1af26fea27b20c3ec28d7ab1fb72182879dcae1cca21206a",
	"POST /v2/{user}/items?page=10", "System.Data.SqlClient.SqlException", "std::vector<int>::push_back", "12:34:56", "aa:bb:cc:dd:ee:ff", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101",
}

func TestDetectors(t *testing.T) {
	if len(found) != len(Names()) || len(clean) != len(Names()) {
		t.Fatalf("%d and %d detectors in the tables, there are %d", len(found), len(clean), len(Names()))
	}
	for name, cases := range found {
		p := only(t, name, Mask)
		for _, c := range cases {
			if got := p.Treat("l", c[0]); got.Value != c[1] || got.Verdict != Change || got.Found == 0 {
				t.Errorf("%s in %q: %+v, want %q", name, c[0], got, c[1])
			}
		}
		for _, value := range append(clean[name], everyday...) {
			if got := p.Treat("l", value); got != (Result{Value: value}) {
				t.Errorf("%s in %q: %+v, want nothing", name, value, got)
			}
		}
	}
}

func TestPatterns(t *testing.T) {
	p := policyOf(t, Settings{Patterns: []Pattern{{"employee", `\bE[0-9]{6}\b`, Mask}, {"words", `[a-z]+`, Hash}}})
	got := p.Treat("l", "E123456 and E7654321").Value
	if !strings.HasPrefix(got, "[employee] [words:") || !strings.HasSuffix(got, "] E7654321") || strings.Contains(got, "and") {
		t.Errorf("%q", got)
	}
	if again := p.Treat("l", got); again.Verdict != Keep {
		t.Errorf("a treated value was treated again: %+v", again)
	}
}

// TestLimits are values that would take long, or grow.
func TestLimits(t *testing.T) {
	p := all(t, Mask)
	for _, value := range []string{strings.Repeat("a@b.cc ", 1000), strings.Repeat("a@b.co1.2.3.4+", 400), strings.Repeat("a:", 4000), strings.Repeat("eyJ.", 2000), strings.Repeat("1", 1<<16), strings.Repeat("1.", 1<<15), strings.Repeat("@", 1<<14)} {
		if got := p.Treat("l", value).Value; len(got) > len(value) {
			t.Errorf("%.20q: of %d bytes became %d", value, len(value), len(got))
		}
	}
	if got := p.Treat("l", many()).Value; got != "[email]" {
		t.Errorf("%.100q", got)
	}
}

// many is a value with more findings than are taken out one by one.
func many() string {
	var b strings.Builder
	for i := range 3 * maxFound {
		fmt.Fprintf(&b, "u%d@example.com ", i)
	}
	return b.String()
}

// all returns a policy with every detector, all of which do the same.
func all(t testing.TB, a Action) Policy {
	t.Helper()
	s := Settings{Detectors: map[string]Action{}}
	for _, name := range Names() {
		s.Detectors[name] = a
	}
	return policyOf(t, s)
}
