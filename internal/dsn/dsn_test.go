package dsn

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/churl"
)

func TestRedact(t *testing.T) {
	for _, c := range []struct{ address, want string }{
		{"", ""},
		{"clickhouse://host:9000/db", "clickhouse://host:9000/db"},
		{"clickhouse://u:s3cret@host:9000/db?secure=true", "clickhouse://u:xxxxx@host:9000/db?secure=true"},
		{"clickhouse://host:9000/db?username=u&password=s3cret", "clickhouse://host:9000/db?password=xxxxx&username=u"},
		{"clickhouse://host/db?password=a&password=s3cret", "clickhouse://host/db?password=xxxxx"},
		{"clickhouse://host/db?http_proxy=http%3A%2F%2Fu%3As3cret%40proxy&azure_client_Secret=s3cret", "clickhouse://host/db?azure_client_Secret=xxxxx&http_proxy=xxxxx"},
		{"clickhouse://u:s3cret@h1:9000,h2:9000/db", "clickhouse://u:xxxxx@h1:9000,h2:9000/db"},
		{"clickhouse://u:s3cret@[fd00::1]:9000,[fd00::2]:9000/db", "clickhouse://u:xxxxx@[fd00::1]:9000,[fd00::2]:9000/db"},

		// What is not escaped splits an address at the wrong place.
		{"clickhouse://u:12#s3cret@host/db", "xxxxx"},
		{"clickhouse://u:12/s3cret@host/db", "xxxxx"},
		{"clickhouse://u:12?s3cret@host/db", "xxxxx"},
		{"clickhouse://u:12?a=s3cret@host/db", "xxxxx"},
		{"clickhouse://u:s3cret%@host/db", "xxxxx"},
		{"clickhouse://host/db?a=%&password=s3cret", "xxxxx"},
		{"clickhouse:s3cret", "xxxxx"},
		{"\x00s3cret", "xxxxx"},
	} {
		if got := Redact(c.address, churl.Parse); got != c.want {
			t.Errorf("%q is shown as %q, wanted %q", c.address, got, c.want)
		}
		if got := Redact(c.address, url.Parse); strings.Contains(got, "s3cret") {
			t.Errorf("%q is shown as %q", c.address, got)
		}
	}
}
