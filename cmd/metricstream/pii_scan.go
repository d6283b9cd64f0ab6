package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/metricstream/metricstream/cmd/metricstream/internal/config"
	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/tenant"
)

const scanHelp = `Look for personal data in what is stored, by the API of a running process, and change nothing.

Every built-in detector looks, and the patterns of the tenant's settings; labels that these exempt are left out. ACTION is what becomes of such values when they are written now. The values are not printed. The key needs the scope read, and admin for the settings of a tenant named with --tenant; where they cannot be read, those of the configuration file count. The exit status is 1 where something is found.`

// piiCommands adds `metricstream pii`.
func piiCommands(app *kingpin.Application, runs map[string]func(context.Context) error) {
	commands := app.Command("pii", "Look after personal data in label values.")
	scan := commands.Command("scan", scanHelp)
	s := &piiScan{}
	s.client.bind(scan)
	scan.Flag("tenant", "A tenant to look at, repeated. Default: that of the key, or anonymous.").StringsVar(&s.tenants)
	scan.Flag("exemplars-since", "How far back exemplars are looked at; 0s is not at all.").Default("168h").DurationVar(&s.exemplars)
	scan.Flag("config.file", "YAML file with the section pii.").StringVar(&s.configFile)
	runs[scan.FullCommand()] = s.run
}

// piiScan is `metricstream pii scan`.
type piiScan struct {
	client     adminClient
	tenants    []string
	exemplars  time.Duration
	configFile string

	defaults pii.Settings          // of the configuration
	actions  map[string]pii.Action // of the tenant that is looked at, by detector
	policy   pii.Policy            // that finds what there is of it
	http     *http.Client
	key      string
	found    map[scanned]int
}

// scanned is a kind of personal data that was found.
type scanned struct {
	tenant, in, detector, label, metric string
	action                              pii.Action
}

var errPersonal = errors.New("personal data is stored; the section pii of the configuration says what is done with what comes, and an erasure removes the series, with their exemplars; a help text goes with the last series of its metric")

func (s *piiScan) run(ctx context.Context) error {
	c, err := config.Load(s.configFile)
	if err != nil {
		return err
	}
	if err := c.PII.Validate(); err != nil {
		return err
	}
	s.defaults = c.PII.Settings
	if s.http, err = s.client.client(); err != nil {
		return err
	}
	defer s.http.CloseIdleConnections()
	if s.key, err = s.client.key(); err != nil {
		return err
	}
	if len(s.tenants) == 0 {
		s.tenants = []string{""}
	}
	s.found = map[scanned]int{}
	for _, id := range s.tenants {
		err = errors.Join(err, s.scan(ctx, id))
	}
	if len(s.found) > 0 {
		err = errors.Join(s.print(), err, errPersonal)
	} else if err == nil {
		fmt.Println("nothing was found")
	}
	return err
}

// scan looks at one tenant, metric by metric.
func (s *piiScan) scan(ctx context.Context, id string) error {
	if err := s.settle(ctx, id); err != nil {
		return err
	}
	var names []string
	if err := s.ask(ctx, id, "/api/v1/label/__name__/values", nil, &names); err != nil {
		return err
	}
	var failed error
	series, asked, began := 0, 0, time.Now()
	for i, name := range names {
		n, err := s.scanMetric(ctx, id, name)
		series += n
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = errors.Join(failed, err)
		}
		if now := int(time.Since(began) / (2 * time.Second)); now > asked {
			asked = now
			fmt.Fprintf(os.Stderr, "%5.1f%%  %d of %d metrics, %d series, %s\n", 100*float64(i+1)/float64(len(names)), i+1, len(names), series, time.Since(began).Round(time.Second))
		}
	}
	texts, err := s.scanMetadata(ctx, id)
	fmt.Fprintf(os.Stderr, "tenant %s: %d metrics, %d series and the metadata of %d metrics looked at in %s\n", cmp.Or(id, "of the key"), len(names), series, texts, time.Since(began).Round(time.Millisecond))
	return errors.Join(failed, err)
}

// settle makes the settings of a tenant those by which is looked.
func (s *piiScan) settle(ctx context.Context, id string) (err error) {
	settings := s.defaults
	var own struct{ Effective pii.Settings }
	if id != "" {
		if err := s.ask(ctx, "", "/api/v1/admin/tenants/"+url.PathEscape(id)+"/pii", nil, &own); err == nil {
			settings = own.Effective
		} else {
			fmt.Fprintf(os.Stderr, "tenant %s: its settings cannot be read, those of the configuration count: %v\n", id, err)
		}
	}
	s.actions = maps.Clone(settings.Detectors)
	for _, p := range settings.Patterns {
		if s.actions == nil {
			s.actions = map[string]pii.Action{}
		}
		s.actions[p.Name] = p.Action
	}
	s.policy, err = pii.Discover(settings)
	return err
}

// scanMetric looks at the series of a metric and at their exemplars, and returns how many series there are.
func (s *piiScan) scanMetric(ctx context.Context, id, name string) (int, error) {
	selector := "{" + labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, name).String() + "}"
	var series []map[string]string
	if err := s.ask(ctx, id, "/api/v1/series", url.Values{"match[]": {selector}}, &series); err != nil {
		return 0, fmt.Errorf("cannot look at the series of a metric (%s): %w", s.hidden(name), err)
	}
	for _, ls := range series {
		s.look(id, "series", name, ls)
	}
	if s.exemplars == 0 {
		return len(series), nil
	}
	var all []struct {
		Exemplars []struct{ Labels map[string]string }
	}
	now := time.Now()
	at := func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	if err := s.ask(ctx, id, "/api/v1/query_exemplars", url.Values{"query": {selector}, "start": {at(now.Add(-s.exemplars))}, "end": {at(now.Add(time.Hour))}}, &all); err != nil {
		return len(series), fmt.Errorf("cannot look at the exemplars of a metric (%s): %w", s.hidden(name), err)
	}
	for _, one := range all {
		for _, e := range one.Exemplars {
			s.look(id, "exemplars", name, e.Labels)
		}
	}
	return len(series), nil
}

// scanMetadata looks at the texts of metadata, and returns of how many metrics there are some.
func (s *piiScan) scanMetadata(ctx context.Context, id string) (int, error) {
	var all map[string][]struct{ Help, Unit string }
	if err := s.ask(ctx, id, "/api/v1/metadata", nil, &all); err != nil {
		return 0, fmt.Errorf("cannot look at the metadata: %w", err)
	}
	for name, texts := range all {
		for _, t := range texts {
			s.look(id, "metadata", name, map[string]string{pii.NameLabel: name, pii.HelpLabel: t.Help, pii.UnitLabel: t.Unit})
		}
	}
	return len(all), nil
}

// look notes what stands in the values of some labels.
func (s *piiScan) look(id, in, metric string, ls map[string]string) {
	for name, value := range ls {
		for f := range s.policy.Findings(s.policy.Treat(name, value).Found) {
			s.found[scanned{id, in, f.Detector, name, s.hidden(metric), cmp.Or(s.actions[f.Detector], pii.Off)}]++
		}
	}
}

// hidden is a metric's name for people.
func (s *piiScan) hidden(name string) string { return s.policy.Hide(pii.NameLabel, name) }

func (s *piiScan) print() error {
	rows := slices.SortedFunc(maps.Keys(s.found), func(a, b scanned) int {
		return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.detector, b.detector), cmp.Compare(a.in, b.in), cmp.Compare(a.label, b.label), cmp.Compare(a.metric, b.metric))
	})
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "TENANT\tDETECTOR\tACTION\tIN\tLABEL\tMETRIC\tCOUNT")
	for _, r := range rows {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", dash(r.tenant), r.detector, r.action, r.in, r.label, r.metric, s.found[r])
	}
	return out.Flush()
}

// ask asks a tenant's API. What is asked stands in the body, where no log of requests shows it.
func (s *piiScan) ask(ctx context.Context, id, path string, form url.Values, data any) error {
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.client.url, "/")+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if s.key != "" {
		r.Header.Set("Authorization", "Bearer "+s.key)
	}
	if id != "" {
		r.Header.Set(tenant.Header, id)
	}
	resp, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := struct {
		Error string
		Data  any
	}{Data: data}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s%s answered %s, and not as MetricStream does", s.client.url, path, resp.Status)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, answer.Error)
	}
	return nil
}
