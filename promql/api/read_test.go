package api_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	configutil "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/metricstream/metricstream/promql/api"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
)

var responseTypes = map[string][]prompb.ReadRequest_ResponseType{
	"samples": {prompb.ReadRequest_SAMPLES},
	"chunks":  {prompb.ReadRequest_STREAMED_XOR_CHUNKS},
	"both":    {prompb.ReadRequest_STREAMED_XOR_CHUNKS, prompb.ReadRequest_SAMPLES},
}

// readClient is Prometheus' own.
func readClient(t testing.TB, server *httptest.Server, types []prompb.ReadRequest_ResponseType, headers map[string]string) remote.ReadClient {
	t.Helper()
	u, err := url.Parse(server.URL + "/api/v1/read")
	if err != nil {
		t.Fatal(err)
	}
	c, err := remote.NewReadClient(t.Name()+server.URL, &remote.ClientConfig{
		URL:                   &configutil.URL{URL: u},
		Timeout:               model.Duration(time.Minute),
		ChunkedReadLimit:      5e7,
		AcceptedResponseTypes: types,
		Headers:               headers,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readQuery(t testing.TB, minMs, maxMs int64, ms ...*labels.Matcher) *prompb.Query {
	t.Helper()
	q, err := remote.ToQuery(minMs, maxMs, ms, &storage.SelectHints{Start: minMs, End: maxMs})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func everything() *labels.Matcher { return labels.MustNewMatcher(labels.MatchNotEqual, "__name__", "") }

// dump writes a set as text, with the bits of floats and histograms as Prometheus prints them.
func dump(t testing.TB, set storage.SeriesSet) string {
	t.Helper()
	var b strings.Builder
	for set.Next() {
		s := set.At()
		fmt.Fprintln(&b, s.Labels())
		it := s.Iterator(nil)
		for v := it.Next(); v != chunkenc.ValNone; v = it.Next() {
			if v == chunkenc.ValFloat {
				ts, f := it.At()
				fmt.Fprintf(&b, "  %d %016x\n", ts, math.Float64bits(f))
				continue
			}
			ts, h := it.AtFloatHistogram(nil)
			if h.CounterResetHint != histogram.GaugeType {
				// A chunk's first histogram has no hint: what stands before it depends on where chunks are cut.
				h = h.Copy()
				h.CounterResetHint = histogram.UnknownCounterReset
			}
			fmt.Fprintf(&b, "  %d %s\n", ts, h.TestExpression())
		}
		if err := it.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := set.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRemoteReadIsWhatIsStored(t *testing.T) {
	data := loaded(t, fixture)
	q, err := data.Querier(0, 1_500_000)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	want := dump(t, q.Select(t.Context(), true, nil, everything()))
	m := copied(t, data, store.DefaultTenant)
	servers := map[string]*httptest.Server{
		"our API, Prometheus' storage": serveAPI(t, data, nil),
		"our API, our storage":         serveAPI(t, nil, func(o *api.Options) { overMemory(o, m) }),
		"Prometheus":                   servePrometheus(t, data),
	}
	for server, at := range servers {
		for types, list := range responseTypes {
			if server == "Prometheus" && types == "samples" {
				continue // its encoder loses the sign of -0
			}
			t.Run(server+"/"+types, func(t *testing.T) {
				set, err := readClient(t, at, list, nil).Read(t.Context(), readQuery(t, 0, 1_500_000, everything()), true)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(dump(t, set), "\n")); diff != "" {
					t.Errorf("-stored +read:\n%s", diff)
				}
			})
		}
	}
}

func TestRemoteReadSplitsFramesAndKeepsQueriesApart(t *testing.T) {
	data := loaded(t, "load 1s\n  many{n=\"1\"} 0+1.5x5000\n  many{n=\"2\"} 1x5000\n  other 7x10\n")
	server := serveAPI(t, data, func(o *api.Options) { o.ReadFrameBytes = 300 })
	one := labels.MustNewMatcher(labels.MatchEqual, "__name__", "many")
	two := labels.MustNewMatcher(labels.MatchRegexp, "__name__", "oth.*")
	var dumps []string
	for _, types := range []string{"samples", "chunks"} {
		set, err := readClient(t, server, responseTypes[types], nil).ReadMultiple(t.Context(),
			[]*prompb.Query{readQuery(t, 0, 5_000_000, two), readQuery(t, 0, 5_000_000, one)}, true)
		if err != nil {
			t.Fatal(err)
		}
		points := map[string]int{}
		for set.Next() {
			it := set.At().Iterator(nil)
			for it.Next() != chunkenc.ValNone {
				points[set.At().Labels().String()]++
			}
		}
		if err := set.Err(); err != nil {
			t.Fatal(err)
		}
		dumps = append(dumps, fmt.Sprint(points))
	}
	want := fmt.Sprint(map[string]int{`{__name__="many", n="1"}`: 5001, `{__name__="many", n="2"}`: 5001, `{__name__="other"}`: 11})
	for _, got := range dumps {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestRemoteReadFramesAreSmall guards the memory of readers: a long series comes in many frames, each near the limit.
func TestRemoteReadFramesAreSmall(t *testing.T) {
	const limit, chunk = 1000, 1500 // a frame ends with the chunk that reaches the limit
	server := serveAPI(t, loaded(t, "load 1s\n  many 0+1.1x20000\n"), func(o *api.Options) { o.ReadFrameBytes = limit })
	body := &prompb.ReadRequest{Queries: []*prompb.Query{readQuery(t, 0, 1e8, everything())}, AcceptedResponseTypes: responseTypes["chunks"]}
	stream, err := io.ReadAll(postRead(t, server, packed(t, body), nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	frames := 0
	for ; len(stream) > 0; frames++ {
		size, n := binary.Uvarint(stream)
		if n <= 0 || uint64(len(stream)-n) < 4+size {
			t.Fatalf("frame %d: %d bytes are announced, %d are there", frames, size, len(stream)-n)
		}
		if size > limit+chunk {
			t.Errorf("frame %d has %d bytes", frames, size)
		}
		stream = stream[n+4+int(size):]
	}
	if frames < 5 {
		t.Errorf("%d frames", frames)
	}
}

// postRead sends a raw request.
func postRead(t testing.TB, server *httptest.Server, body []byte, header http.Header) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/api/v1/read", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func packed(t testing.TB, r *prompb.ReadRequest) []byte {
	t.Helper()
	raw, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, raw)
}

func TestRemoteReadRefusals(t *testing.T) {
	server := serveAPI(t, loaded(t, fixture), func(o *api.Options) { o.Config.MaxSamples = 10 })
	query := func(ms ...*prompb.LabelMatcher) *prompb.ReadRequest {
		return &prompb.ReadRequest{Queries: []*prompb.Query{{EndTimestampMs: 1e7, Matchers: ms}}}
	}
	up := &prompb.LabelMatcher{Name: "__name__", Value: "up"}
	unknown := query(up)
	unknown.AcceptedResponseTypes = []prompb.ReadRequest_ResponseType{77}
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0x00} // declares 4 GiB
	for _, c := range []struct {
		name string
		body []byte
		want string
	}{
		{"not snappy", []byte("nonsense!"), "cannot decompress"},
		{"declared size", huge, "exceeds limit"},
		{"not protobuf", snappy.Encode(nil, []byte("nonsense")), "cannot decode"},
		{"too many samples", packed(t, query(up)), "the query reads more than 10 samples"},
		{"unknown response type", packed(t, unknown), "does not support any of the requested response types"},
		{"bad regex", packed(t, query(&prompb.LabelMatcher{Type: prompb.LabelMatcher_RE, Name: "a", Value: "("})), "missing closing )"},
		{"bad matcher type", packed(t, query(&prompb.LabelMatcher{Type: 9, Name: "a"})), "invalid matcher type"},
		{"no matcher", packed(t, query()), "at least one matcher"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := postRead(t, server, c.body, nil)
			text, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), c.want) {
				t.Errorf("got %d %q, want 400 with %q", resp.StatusCode, text, c.want)
			}
		})
	}
}

func TestRemoteReadHeadersAndTenant(t *testing.T) {
	m := copied(t, loaded(t, fixture), "team-a")
	server := serveAPI(t, nil, func(o *api.Options) { overMemory(o, m) })
	body := &prompb.ReadRequest{Queries: []*prompb.Query{readQuery(t, 0, 1e6, everything())}}
	header := http.Header{tenant.Header: {"team-a"}, "Accept-Encoding": {"gzip"}}

	resp := postRead(t, server, packed(t, body), header)
	if got := resp.Header; got.Get("Content-Type") != "application/x-protobuf" || got.Get("Content-Encoding") != "snappy" {
		t.Errorf("headers of samples: %v", got)
	}
	body.AcceptedResponseTypes = responseTypes["chunks"]
	resp = postRead(t, server, packed(t, body), header)
	if got := resp.Header; got.Get("Content-Type") != "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse" || got.Get("Content-Encoding") != "" {
		t.Errorf("headers of chunks: %v", got)
	}
	if b, _ := io.ReadAll(resp.Body); len(b) == 0 {
		t.Error("the tenant's data are missing")
	}
	resp = postRead(t, server, packed(t, body), nil)
	if b, _ := io.ReadAll(resp.Body); len(b) != 0 {
		t.Errorf("another tenant reads %d bytes", len(b))
	}
}

func TestRemoteReadHintsNarrowTheTime(t *testing.T) {
	m := copied(t, loaded(t, fixture), store.DefaultTenant)
	server := serveAPI(t, nil, func(o *api.Options) { overMemory(o, m) })
	up := labels.MustNewMatcher(labels.MatchEqual, "__name__", "up")
	for types, list := range responseTypes {
		for _, c := range []struct {
			hints *storage.SelectHints
			want  int
		}{
			{nil, 2 * 11},
			{&storage.SelectHints{}, 2 * 11}, // says nothing
			{&storage.SelectHints{Start: 660_000, End: 720_000, Func: "series"}, 2 * 2},
			{&storage.SelectHints{Start: 0, End: 9_000_000}, 2 * 11}, // never wider than the query
		} {
			q, err := remote.ToQuery(600_000, 1_200_000, []*labels.Matcher{up}, c.hints)
			if err != nil {
				t.Fatal(err)
			}
			set, err := readClient(t, server, list, nil).Read(t.Context(), q, true)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(dump(t, set), "\n  "); got != c.want {
				t.Errorf("%s with hints %+v: %d samples, want %d", types, c.hints, got, c.want)
			}
		}
	}
}
