package e2e

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/metricstream/metricstream/internal/testenv"
)

// secret is in all that the tenant a has outside its part 1, in all of z, and in nothing else; so is secretValue. No attempt
// names them.
const (
	secret      = "zq7x"
	secretValue = 424242717
)

// leaksFor is how often each of the keys tries.
const leaksFor = 2000

// vault is two processes that share tables, keys and a Redis, with tenants that have secrets from each other. The owner may see
// everything.
type vault struct {
	nodes  []*node
	owner  string
	nowMs  int64
	client *http.Client
}

func startVault(t *testing.T) *vault {
	t.Helper()
	file := filepath.Join(t.TempDir(), "redis.yml")
	if err := os.WriteFile(file, []byte("redis: {address: '"+testenv.StartRedis(t).Address+"'}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--auth.enabled", "--config.file=" + file, "--metadata.dsn=" + testenv.StartPostgres(t).DSN, "--clickhouse.dsn=" + clickhouse(t)}
	first := start(t, "all", t.TempDir(), flags...)
	v := &vault{owner: firstKey(t, first), nowMs: time.Now().UnixMilli() / 60_000 * 60_000}
	v.nodes = []*node{first, start(t, "querier", t.TempDir(), flags...)}
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	v.client = &http.Client{Transport: transport}
	return v
}

func (v *vault) do(t *testing.T, args ...string) string {
	t.Helper()
	return keyCommand(t, v.nodes[0], v.owner, args...)
}

// keys makes the tenants and those who try, and lets something secret stand in the administration.
func (v *vault) keys(t *testing.T) map[string]string {
	t.Helper()
	for _, id := range []string{"a", "b", "c", "z"} {
		v.do(t, "tenant", "create", id)
	}
	v.do(t, "key", "create", "--tenant=a", "--scope=read", "--description="+secret)
	v.do(t, "user", "create", "ann", "--tenant=a", "--role=admin", "--description="+secret)
	all := []string{"--scope=read", "--scope=write", "--scope=rules", "--scope=admin"}
	return map[string]string{
		"other":  v.do(t, append([]string{"key", "create", "--tenant=b"}, all...)...),
		"others": v.do(t, append([]string{"key", "create", "--tenant=b", "--also-tenant=c"}, all...)...),
		"part":   v.do(t, "key", "create", "--tenant=a", "--scope=read", "--scope=write", `--selector={part="1"}`),
		"parts":  v.do(t, "key", "create", "--tenant=b", "--scope=read", "--also-tenant=a", "--also-tenant=c", `--selector={part="1"}`),
		"person": "bob:" + v.do(t, "user", "create", "bob", "--tenant=b", "--role=admin"),
	}
}

// fill writes for the tenant a series with secrets and some of part 1, for z secrets, and for b some of its own.
func (v *vault) fill(t *testing.T) {
	t.Helper()
	i := &ingest{limited: limited{node: v.nodes[0]}}
	for _, tenant := range []string{"a", "b", "z"} {
		symbols := writev2.NewSymbolTable()
		req := &writev2.Request{}
		add := func(value float64, help string, pairs ...string) {
			refs := func(pairs ...string) []uint32 { return symbols.SymbolizeLabels(labels.FromStrings(pairs...), nil) }
			s := writev2.TimeSeries{LabelsRefs: refs(pairs...), Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE, HelpRef: symbols.Symbolize(help)},
				Exemplars: []writev2.Exemplar{{LabelsRefs: refs("trace", pairs[len(pairs)-1]), Value: value, Timestamp: v.nowMs - 1000}}}
			for at := v.nowMs - 3_900_000; at <= v.nowMs; at += 60_000 {
				s.Samples = append(s.Samples, writev2.Sample{Value: value, Timestamp: at})
			}
			req.Timeseries = append(req.Timeseries, s)
		}
		for k := range 3 {
			id := fmt.Sprint(k)
			switch tenant {
			case "a":
				add(secretValue, "open", "__name__", "up", "i", id, "job", secret+"-job", "part", "2", "zone", secret)
				add(secretValue, "of "+secret, "__name__", secret+"_total", "i", id, secret+"_label", "x", "part", "2", "zone", secret)
				add(1, "open", "__name__", "up", "i", id, "job", "open", "part", "1")
			case "b":
				add(2, "theirs", "__name__", "up", "i", id, "job", "theirs", "part", "1")
			case "z":
				add(secretValue, secret, "__name__", "up", "i", id, "job", secret+"-job", "part", "1")
			}
		}
		req.Symbols = symbols.Symbols()
		if got := i.push(t, v.owner, tenant, req); got.code != http.StatusNoContent {
			t.Fatalf("%s: %+v", tenant, got)
		}
	}
	// What was refused is shown to who may see it.
	if got := i.push(t, v.owner, "a", &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{Labels: []prompb.Label{{Name: "zone", Value: secret}}, Samples: []prompb.Sample{{Timestamp: v.nowMs}}}}}); got.code != http.StatusBadRequest {
		t.Fatalf("a series without a name: %+v", got)
	}
	for _, n := range v.nodes {
		eventually(t, inForce, "the series", func() error {
			code, body := request(t, with(v.owner, n.url)+"/api/v1/query?query=count(up)", "X-Scope-OrgID", "a|b|z")
			if code != 200 || !strings.Contains(body, `"12"`) {
				return fmt.Errorf("%d %s", code, body)
			}
			return nil
		})
	}
}

// try sends an attempt and tells whether the answer has a secret.
func (v *vault) try(t *testing.T, n *node, at attempt, key string) (code int, text string, leaks bool) {
	address, body := n.url+at.path, io.Reader(http.NoBody)
	switch {
	case at.body != nil:
		body = bytes.NewReader(at.body)
	case at.method == http.MethodPost:
		body = strings.NewReader(at.form.Encode())
	default:
		address += "?" + at.form.Encode()
	}
	r, err := http.NewRequestWithContext(t.Context(), at.method, address, body)
	if err != nil {
		t.Error(err)
		return 0, "", false
	}
	if name, password, ok := strings.Cut(key, ":"); ok {
		r.SetBasicAuth(name, password)
	} else {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if at.body != nil {
		r.Header.Set("Content-Type", "application/x-protobuf")
		r.Header.Set("Content-Encoding", "snappy")
	}
	if at.tenant != "" {
		r.Header.Set("X-Scope-OrgID", at.tenant)
	}
	resp, err := v.client.Do(r)
	if err != nil {
		t.Error(err)
		return 0, "", false
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	text = string(raw)
	if plain, err := snappy.Decode(nil, raw); at.body != nil && err == nil { // the values of chunks stay hidden; labels do not
		var m prompb.ReadResponse
		if err := m.Unmarshal(plain); err != nil {
			t.Error(err)
		}
		text = m.String()
	}
	digits := fmt.Sprint(secretValue)
	return resp.StatusCode, text, strings.Contains(text, secret) || strings.Contains(text, digits) || strings.Contains(text, digits[:1]+"."+digits[1:])
}

// tally counts answers, so that attempts which nobody answers are noticed.
type tally struct {
	sync.Mutex
	seen     map[string]int // by the kind of the attempt, by the owner
	answered map[string]int // by the key
}

func (c *tally) add(to map[string]int, name string) {
	c.Lock()
	defer c.Unlock()
	to[name]++
}

// TestNothingLeaks makes ten thousand random attempts to see what belongs to another tenant, or to a part of the own one that
// the key's selector leaves out, by keys of one tenant and of several, over ClickHouse and with answers remembered in two
// processes and in Redis. The owner has made each attempt just before, and was shown what is to be had.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	keys := v.keys(t)
	v.fill(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	began := time.Now()
	counts := &tally{seen: map[string]int{}, answered: map[string]int{}}
	var all sync.WaitGroup
	const workers = 4
	for w := range workers {
		all.Go(func() {
			a := attempts{rand.New(rand.NewPCG(seed, uint64(w))), v.nowMs}
			for range leaksFor / workers {
				if t.Failed() {
					return
				}
				v.attack(t, a, keys, counts)
			}
		})
	}
	all.Wait()
	t.Logf("%d attempts in %v; the owner saw secrets %v; answers %v", leaksFor*len(keys), time.Since(began), counts.seen, counts.answered)
	if t.Failed() {
		return
	}
	for _, kind := range []string{"query", "query_range", "query_exemplars", "series", "labels", "values", "read", "federate", "metadata", "status"} {
		if counts.seen[kind] == 0 {
			t.Errorf("the attempts by %s are of no use: the owner sees no secret", kind)
		}
	}
	for name := range keys {
		if counts.answered[name] < 200 {
			t.Errorf("the attempts of %s are of no use: %d were answered", name, counts.answered[name])
		}
	}
	if counts.answered["several"] < 50 {
		t.Errorf("attempts at several tenants are of no use: %d were answered", counts.answered["several"])
	}
	for _, result := range []string{"memory", "redis"} {
		hits, err := metricSum(with(v.owner, v.nodes[1].url), `metricstream_query_cache_blocks_total{result="`+result+`"}`)
		if err != nil || hits == 0 {
			t.Errorf("no answer was remembered (%s): %v", result, err)
		}
	}
}

// attack makes one attempt, first as the owner of all tenants and then by each key.
func (v *vault) attack(t *testing.T, a attempts, keys map[string]string, counts *tally) {
	at := a.next(t)
	open := at
	open.tenant = pick(a, "a", "a", "a|b", "b|c|a", at.tenant)
	if _, _, leaks := v.try(t, v.nodes[0], open, v.owner); leaks {
		counts.add(counts.seen, at.kind)
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		code, text, leaks := v.try(t, pick(a, v.nodes...), at, keys[name])
		switch {
		case leaks || code >= 500:
			t.Errorf("%s: %+v: %d %s", name, at, code, text)
		case code == 200 && strings.HasPrefix(name, "part") && slices.ContainsFunc(ofWholeTenants, func(p string) bool { return strings.HasSuffix(at.path, "/"+p) }):
			t.Errorf("%s is told of the whole tenant: %+v: %s", name, at, text)
		}
		if code == 200 {
			counts.add(counts.answered, name)
		}
		if code == 200 && strings.Contains(at.tenant, "|") && strings.Contains(text, "__tenant_id__") {
			counts.add(counts.answered, "several")
		}
	}
}
