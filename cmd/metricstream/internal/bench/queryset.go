package bench

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// question is one kind of query. Every repetition asks about another time, and where there are enough, about other
// series, so that a cache of whole answers does not answer.
type question struct {
	name string
	path string
	// form returns the parameters of repetition i.
	form func(i int) url.Values
	// series and points are what the answer must have: so many series (or values, or label sets), and so
	// many points in all; 0 points is not checked.
	series, points int
}

// questionnaire builds the questions over what a run wrote.
type questionnaire struct {
	o       *QueryOptions
	written *WriteReport
	fleet   *fleetSeries
	byName  map[string][]*series
}

func newQuestionnaire(o *QueryOptions, written *WriteReport) (*questionnaire, error) {
	q := &questionnaire{o: o, written: written, fleet: newFleet(written.Seed, written.Series), byName: map[string][]*series{}}
	for i := range q.fleet.series {
		s := &q.fleet.series[i]
		q.byName[s.metric] = append(q.byName[s.metric], s)
	}
	if q.span() < o.Step {
		return nil, fmt.Errorf("cannot query: the run wrote %s of timestamps, less than one --step (%s)", q.span(), o.Step)
	}
	return q, nil
}

// span is the length of range queries: as asked, or what every series has.
func (q *questionnaire) span() time.Duration {
	have := time.Duration(q.written.CompleteMs-q.written.FirstMs-q.written.IntervalMs) * time.Millisecond
	return min(q.o.Range, have).Truncate(q.o.Step)
}

// end returns the time of repetition i: a step earlier each time, within the newest sixteen.
func (q *questionnaire) end(i int) time.Time {
	step := q.o.Step.Milliseconds()
	end := q.written.CompleteMs / step * step
	spare := (end - q.written.FirstMs - q.written.IntervalMs - q.span().Milliseconds()) / step
	return time.UnixMilli(end - int64(i)%max(1, min(16, spare+1))*step)
}

func (q *questionnaire) steps() int { return int(q.span()/q.o.Step) + 1 }

func (q *questionnaire) questions() []question {
	const cpu, net = "node_cpu_seconds_total", "node_network_receive_bytes_total"
	thousand, ten := q.choose(cpu, 1000), q.choose(net, 10)
	modes := q.distinct(cpu, "mode")
	one := func(i int) string { return q.exact(q.byName[cpu][i%len(q.byName[cpu])]) }
	fixed := func(s string) func(int) string { return func(int) string { return s } }
	return []question{
		q.instant("instant, 1 series", one, 1),
		q.instant(fmt.Sprintf("instant, %d series", thousand.count), fixed(thousand.selector), thousand.count),
		q.instant("instant, sum by (mode) (rate())", fixed("sum by (mode) (rate("+cpu+"[5m]))"), modes),
		q.ranged("range, 1 series", one, 1),
		q.ranged(fmt.Sprintf("range, %d series", ten.count), fixed(ten.selector), ten.count),
		q.ranged(fmt.Sprintf("range, %d series", thousand.count), fixed(thousand.selector), thousand.count),
		q.ranged("range, sum by (mode) (rate())", fixed("sum by (mode) (rate("+cpu+"[5m]))"), modes),
		q.metadata("label values", "/api/v1/label/instance/values", url.Values{"match[]": {cpu}}, q.distinct(cpu, "instance")),
		q.metadata(fmt.Sprintf("series, %d", thousand.count), "/api/v1/series", url.Values{"match[]": {thousand.selector}}, thousand.count),
	}
}

func (q *questionnaire) instant(name string, expr func(int) string, series int) question {
	return question{name: name, path: "/api/v1/query", series: series, points: series, form: func(i int) url.Values {
		return url.Values{"query": {expr(i)}, "time": {unixSeconds(q.end(i).UnixMilli())}}
	}}
}

func (q *questionnaire) ranged(name string, expr func(int) string, series int) question {
	points := series * q.steps()
	if strings.Contains(name, "rate") {
		points = 0 // the first windows have too few samples where the data begins
	}
	return question{name: name, path: "/api/v1/query_range", series: series, points: points, form: func(i int) url.Values {
		end := q.end(i)
		return url.Values{"query": {expr(i)}, "start": {unixSeconds(end.Add(-q.span()).UnixMilli())}, "end": {unixSeconds(end.UnixMilli())},
			"step": {fmt.Sprint(q.o.Step.Seconds())}}
	}}
}

func (q *questionnaire) metadata(name, path string, form url.Values, results int) question {
	return question{name: name, path: path, series: results, form: func(i int) url.Values {
		end := q.end(i)
		return url.Values{"match[]": form["match[]"], "start": {unixSeconds(end.Add(-q.span()).UnixMilli())}, "end": {unixSeconds(end.UnixMilli())}}
	}}
}

// exact is the selector of one series, by all its labels.
func (q *questionnaire) exact(s *series) string {
	var matchers []string
	for _, l := range s.labels {
		if l.name != "__name__" {
			matchers = append(matchers, fmt.Sprintf("%s=%q", l.name, l.value))
		}
	}
	return s.metric + "{" + strings.Join(matchers, ",") + "}"
}

type choice struct {
	selector string
	count    int
}

// choose selects a metric's series by as many instances as it takes to have want of them, or all.
func (q *questionnaire) choose(metric string, want int) choice {
	var instances []string
	c := choice{}
	for _, s := range q.byName[metric] {
		if len(instances) == 0 || instances[len(instances)-1] != s.instance {
			if c.count >= want {
				break
			}
			instances = append(instances, s.instance)
		}
		c.count++
	}
	c.selector = fmt.Sprintf("%s{instance=~%q}", metric, strings.ReplaceAll(strings.Join(instances, "|"), ".", `\.`))
	return c
}

// distinct counts the values of a label among a metric's series.
func (q *questionnaire) distinct(metric, name string) int {
	values := map[string]bool{}
	for _, s := range q.byName[metric] {
		for _, l := range s.labels {
			if l.name == name {
				values[l.value] = true
			}
		}
	}
	return len(values)
}
