package remotewrite

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/remotewrite/codec"
	"github.com/metricstream/metricstream/store"
)

// newPrivateHandler returns a handler with a policy for all tenants, and what it was told of what was found.
func newPrivateHandler(t testing.TB, w store.Writer, s pii.Settings, logs *strings.Builder) (*Handler, map[codec.Found]int) {
	t.Helper()
	policies, err := pii.NewPolicies(pii.PolicyOptions{Defaults: s, Secret: []byte("0123456789abcdef"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	all := map[codec.Found]int{}
	logger := slog.New(slog.DiscardHandler)
	if logs != nil {
		logger = slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return New(DefaultConfig(), Options{
		Writer: w, Logger: logger, Registerer: prometheus.NewRegistry(), Now: func() time.Time { return time.UnixMilli(nowMs) },
		Privacy: policies.Of,
		Found: func(_ string, found map[codec.Found]int) {
			for f, n := range found {
				all[f] += n
			}
		},
	}), all
}

// TestPersonalData: the answer, the list of refusals and the log say what was refused and where, and show none of it.
func TestPersonalData(t *testing.T) {
	const card = "4111111111111111"
	var logs strings.Builder
	w := &recorder{}
	h, found := newPrivateHandler(t, w, pii.Settings{
		Detectors: map[string]pii.Action{"credit_card": pii.Refuse, "email": pii.Mask},
		Patterns:  []pii.Pattern{{Name: "staff", Regex: "E[0-9]{6}", Action: pii.Drop}},
	}, &logs)
	body := requestV1(t,
		seriesV1(nowMs, 1, "__name__", "orders", "card", card, "user", "a@b.cc"),
		seriesV1(nowMs, 1, "__name__", "logins", "staff", "E123456", "user", "a@b.cc"),
		seriesV1(nowMs-8*dayMs, 1, "__name__", "late", "user", "a@b.cc"))
	for range 2 {
		res := post(h, body, nil)
		text := res.Body.String() + logs.String() + fmt.Sprint(rejectionsOf(t, h, store.DefaultTenant))
		for _, personal := range []string{card, "a@b.cc", "E123456"} {
			if strings.Contains(text, personal) {
				t.Errorf("%s is shown: %s", personal, text)
			}
		}
		if res.Code != http.StatusBadRequest || !strings.Contains(text, `series "orders"{"card"="[credit_card]", "user"="[email]"} has personal data: credit_card in "card"`) {
			t.Errorf("%d %s", res.Code, text)
		}
	}
	if len(w.batches) != 2 || len(w.batches[1].Series) != 1 || w.batches[1].Series[0].Labels.String() != `{__name__="logins", user="[email]"}` {
		t.Errorf("written: %+v", w.batches)
	}
	// Each label set was looked at once.
	if n := found[codec.Found{Finding: pii.Finding{Detector: "credit_card", Action: pii.Refuse}, Label: "card", Metric: "orders"}]; n != 1 || len(found) != 5 {
		t.Errorf("found %v", found)
	}
	for labels, want := range map[[2]string]float64{{"email", "mask"}: 3, {"credit_card", "refuse"}: 1, {"pattern", "drop"}: 1} {
		if n := testutil.ToFloat64(h.metrics.personal.WithLabelValues(labels[0], labels[1])); n != want {
			t.Errorf("%v: counted %v, want %v", labels, n, want)
		}
	}
}

// BenchmarkPersonalData is BenchmarkHandler's request, whose instances are addresses, without detectors and with all of them.
func BenchmarkPersonalData(b *testing.B) {
	discard := store.WriterFunc(func(context.Context, *store.Batch) error { return nil })
	every := map[string]pii.Action{}
	for _, name := range pii.Names() {
		every[name] = pii.Report
	}
	for name, detectors := range map[string]map[string]pii.Action{"off": nil, "all": every} {
		b.Run(name, func(b *testing.B) {
			h, _ := newPrivateHandler(b, discard, pii.Settings{Detectors: detectors}, nil)
			benchHandler(b, h, "a")
		})
	}
}
