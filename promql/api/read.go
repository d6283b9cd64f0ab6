package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"

	"github.com/metricstream/metricstream/tenant/limits"
)

// maxReadBytes limits a remote read request, as it is sent and as it is unpacked.
const maxReadBytes = 32 << 20

// read answers /read, the protocol by which a Prometheus reads from another store. Errors are plain text: their
// readers are programs, which log them.
func (a *API) read(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := a.withTimeout(r.Context())
	defer cancel()
	r = r.WithContext(ctx)
	release, err := a.turn(ctx)
	if err != nil {
		a.readError(w, r, err)
		return
	}
	defer release()

	req, err := decodeRead(http.MaxBytesReader(w, r.Body, maxReadBytes))
	if err != nil {
		a.readError(w, r, badRequest(err))
		return
	}
	streamed, err := negotiate(req.AcceptedResponseTypes)
	switch {
	case err != nil:
		a.readError(w, r, badRequest(err))
	case streamed:
		a.readChunks(ctx, w, r, req)
	default:
		a.readSamples(ctx, w, r, req)
	}
}

// decodeRead believes the declared size only after it has been compared with the limit.
func decodeRead(body io.Reader) (*prompb.ReadRequest, error) {
	packed, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("cannot read the request: %w", err)
	}
	size, err := snappy.DecodedLen(packed)
	if err != nil {
		return nil, fmt.Errorf("cannot decompress the request: %w", err)
	}
	if size > maxReadBytes {
		return nil, fmt.Errorf("snappy: decoded length %d exceeds limit %d", size, maxReadBytes)
	}
	raw, err := snappy.Decode(nil, packed)
	if err != nil {
		return nil, fmt.Errorf("cannot decompress the request: %w", err)
	}
	var req prompb.ReadRequest
	if err := req.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("cannot decode the request: %w", err)
	}
	return &req, nil
}

// negotiate takes the first type of the client's list that is known; an old client sends no list.
func negotiate(accepted []prompb.ReadRequest_ResponseType) (streamed bool, err error) {
	if len(accepted) == 0 {
		return false, nil
	}
	for _, t := range accepted {
		switch t {
		case prompb.ReadRequest_SAMPLES:
			return false, nil
		case prompb.ReadRequest_STREAMED_XOR_CHUNKS:
			return true, nil
		}
	}
	return false, fmt.Errorf("server does not support any of the requested response types: %v; supported: SAMPLES, STREAMED_XOR_CHUNKS", accepted)
}

// selectQuery calls f with the sorted series of one query.
func (a *API) selectQuery(ctx context.Context, q *prompb.Query, f func(storage.SeriesSet) error) error {
	if q == nil {
		return badRequest(errors.New("a query is empty"))
	}
	ms, err := readMatchers(q.Matchers)
	if err != nil {
		return badRequest(err)
	}
	hints := readHints(q)
	if err := limits.FromContext(ctx).CheckRange(between(hints.Start, hints.End)); err != nil {
		return err
	}
	querier, err := a.Queryable.Querier(q.StartTimestampMs, q.EndTimestampMs)
	if err != nil {
		return err
	}
	defer querier.Close()
	set := querier.Select(ctx, true, hints, ms...)
	if err := f(set); err != nil {
		return err
	}
	return set.Err()
}

// readHints narrows the time of a query to that of its hints, where it has them. Nothing else of them is passed
// on: some functions, such as "series", would be taken as leave to read no samples.
func readHints(q *prompb.Query) *storage.SelectHints {
	hints := &storage.SelectHints{Start: q.StartTimestampMs, End: q.EndTimestampMs}
	if h := q.Hints; h != nil && h.EndMs != 0 {
		hints.Start = max(hints.Start, h.StartMs)
		hints.End = min(hints.End, h.EndMs)
		hints.Step, hints.Range = h.StepMs, h.RangeMs
	}
	return hints
}

func readMatchers(all []*prompb.LabelMatcher) ([]*labels.Matcher, error) {
	out := make([]*labels.Matcher, 0, len(all))
	for _, m := range all {
		if m == nil {
			return nil, errors.New("a matcher is empty")
		}
		t, ok := map[prompb.LabelMatcher_Type]labels.MatchType{
			prompb.LabelMatcher_EQ:  labels.MatchEqual,
			prompb.LabelMatcher_NEQ: labels.MatchNotEqual,
			prompb.LabelMatcher_RE:  labels.MatchRegexp,
			prompb.LabelMatcher_NRE: labels.MatchNotRegexp,
		}[m.Type]
		if !ok {
			return nil, fmt.Errorf("invalid matcher type %d", m.Type)
		}
		matcher, err := labels.NewMatcher(t, m.Name, m.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, matcher)
	}
	if !selective(out) {
		return nil, errors.New("at least one matcher must not match the empty string")
	}
	return out, nil
}

// readError answers with text. A limit is 400 here, as in Prometheus: what asked is a program that would only
// try again.
func (a *API) readError(w http.ResponseWriter, r *http.Request, err error) {
	e := a.judge(r, err)
	e.setHeaders(w)
	code := e.typ.code()
	if e.typ == execution {
		code = http.StatusBadRequest
	}
	http.Error(w, e.err.Error(), code)
}
