// Package remotewrite is the HTTP edge of the write path: it receives remote write 1.0 and 2.0 on one URL and
// answers with the status codes on which senders decide to drop or to try again. It owns negotiation, limits,
// status codes and headers; package codec decodes, and a [store.Writer] makes durable. It leaves to its caller
// the routes, TLS and who may write.
package remotewrite

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/metricstream/metricstream/correlation"
	"github.com/metricstream/metricstream/internal/failpoint"
	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/remotewrite/codec"
	"github.com/metricstream/metricstream/remotewrite/ha"
	"github.com/metricstream/metricstream/remotewrite/quota"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
	"github.com/metricstream/metricstream/tenant/limits"
)

// Options are what a [Handler] needs of the rest of the program.
type Options struct {
	// Writer gets the batch of each request, once, with the request's context.
	Writer store.Writer
	Logger *slog.Logger
	// Registerer gets the handler's metrics.
	Registerer prometheus.Registerer
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// HA says which replica of a pair is listened to; nil is that every sender is.
	HA *ha.Tracker
	// ClassOf returns the retention class that a tenant's data gets; nil is 0 for all.
	ClassOf func(tenant string) uint8
	// Grant returns what a request of a tenant is held to; nil is nothing.
	Grant func(ctx context.Context, tenantID string) limits.Grant
	// Quota counts what is used; nil is that this handler counts for itself.
	Quota *quota.Ledger
	// LimitStatus returns the configuration's LimitStatus as it is in force; nil is as it is there.
	LimitStatus func() int
	// Privacy returns what is done with a tenant's personal data; nil is nothing.
	Privacy func(tenant string) pii.Policy
	// Found gets what was found of it in a request, and must not keep the map; nil is that nobody wants to know.
	Found func(tenant string, found map[codec.Found]int)
}

// Handler answers POST requests of remote write. It starts no goroutines.
type Handler struct {
	config      Config
	writer      store.Writer
	log         *slog.Logger
	now         func() time.Time
	decoder     *codec.Decoder
	cache       *codec.Cache
	grant       func(ctx context.Context, tenantID string) limits.Grant
	quota       *quota.Ledger
	cached      cached
	ha          *ha.Tracker
	classOf     func(tenant string) uint8
	privacy     func(tenant string) pii.Policy
	limitStatus func() int
	found       func(tenant string, found map[codec.Found]int)
	metrics     *metrics
	rejections  rejections
	slots       chan struct{}
	scratch     sync.Pool
}

// scratch is the memory of a request: what came, what it decodes to, what it means, where it went.
type scratch struct {
	body, decoded []byte
	request       codec.Request
	receipt       store.Receipt
	grant         limits.Grant
	maxBody       limits.Bound
	tab           quota.Tab
	admit         func(store.Key) (codec.Reason, limits.Bound, bool) // its admitNew
}

// maxScratchBytes is how large a scratch may be to be used again.
const maxScratchBytes = 16 << 20

// New returns a handler for a valid configuration.
func New(c Config, o Options) *Handler {
	cache := codec.NewCache(c.MaxCachedSeries, c.CacheIdle.Milliseconds())
	h := &Handler{
		config: c, writer: o.Writer, log: o.Logger, now: o.Now,
		decoder:     codec.NewDecoder(c.limits(), cache),
		cache:       cache,
		grant:       o.Grant,
		quota:       o.Quota,
		ha:          o.HA,
		classOf:     o.ClassOf,
		privacy:     o.Privacy,
		limitStatus: o.LimitStatus,
		found:       o.Found,
		metrics:     newMetrics(o.Registerer, cache),
		slots:       make(chan struct{}, c.MaxInFlight),
	}
	if h.ha != nil {
		h.decoder.DetectPairs(codec.PairLabels{Cluster: c.HA.ClusterLabel, Replica: c.HA.ReplicaLabel})
	}
	h.rejections.tenants = make(map[string]*ring)
	if h.now == nil {
		h.now = time.Now
	}
	if h.limitStatus == nil {
		h.limitStatus = func() int { return c.LimitStatus }
	}
	if h.classOf == nil {
		h.classOf = func(string) uint8 { return 0 }
	}
	if h.quota == nil {
		h.quota = quota.New(quota.Options{Logger: o.Logger, Registerer: prometheus.NewRegistry(), Now: h.now})
	}
	h.quota.Watch(cache.Used)
	h.scratch.New = func() any {
		s := new(scratch)
		s.admit = s.admitNew
		return s
	}
	return h
}

// Forget makes what was written of a series but its samples be written again with the next of them: it was erased.
func (h *Handler) Forget(key store.Key) { h.cache.Forget(key) }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.now()
	a := h.handle(w, r)
	describe(r, a)
	protocol := "1.0"
	if a.version == codec.V2 {
		protocol = "2.0"
	}
	h.metrics.requests.WithLabelValues(protocol, strconv.Itoa(a.status)).Inc()
	h.metrics.seconds.WithLabelValues(protocol).Observe(h.now().Sub(start).Seconds())
	a.send(w, r)
}

// handle does all that a request asks for and returns the answer.
func (h *Handler) handle(w http.ResponseWriter, r *http.Request) answer {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return answer{status: http.StatusMethodNotAllowed, text: "remote write is a POST request"}
	}
	version, err := versionOf(r.Header)
	if err == nil {
		err = checkEncoding(r.Header)
	}
	if err != nil {
		return answer{version: version, status: http.StatusUnsupportedMediaType, text: err.Error()}
	}
	id, err := tenant.FromRequest(r)
	if err != nil {
		return answer{version: version, status: http.StatusBadRequest, text: err.Error()}
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		h.metrics.limited.WithLabelValues(limitInFlight).Inc()
		return answer{version: version, status: http.StatusServiceUnavailable, text: "too many requests in flight (remote_write.max_in_flight_requests)"}
	}
	h.metrics.inFlight.Inc()
	defer h.metrics.inFlight.Dec()

	s := h.scratch.Get().(*scratch)
	defer h.release(s)
	h.openTab(s, r, id)
	if v := s.tab.Exhausted(); v != quota.Accepted {
		return h.overLimit(s, version, v)
	}
	if a := h.readBody(s, w, r); a.status != 0 {
		a.version = version
		if r.Context().Err() == nil {
			h.rejectWhole(id, a.text)
		}
		return a
	}
	return h.write(s, r, version, id)
}

// release gives a scratch back, unless one large request has made it so large that it would stay in memory for
// the small ones.
func (h *Handler) release(s *scratch) {
	if cap(s.body)+cap(s.decoded)+s.request.Bytes() <= maxScratchBytes {
		h.scratch.Put(s)
	}
}

// readBody reads and decompresses the request's body into s.decoded; a zero answer is success.
func (h *Handler) readBody(s *scratch, w http.ResponseWriter, r *http.Request) answer {
	var err error
	s.body, err = appendAll(s.body[:0], http.MaxBytesReader(w, r.Body, s.maxBody.Most), r.ContentLength)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return h.tooLarge(s)
	case err != nil:
		return answer{status: http.StatusBadRequest, text: "cannot read the body: " + err.Error()}
	}
	n, err := snappy.DecodedLen(s.body)
	switch {
	case err != nil:
		return answer{status: http.StatusBadRequest, text: "cannot decompress the body, which has to be in snappy's block format: " + err.Error()}
	case n > h.config.MaxDecodedBytes:
		h.metrics.limited.WithLabelValues(limitDecoded).Inc()
		return answer{status: http.StatusBadRequest, text: "the body decompresses to more than " + strconv.Itoa(h.config.MaxDecodedBytes) + " bytes (remote_write.max_decoded_bytes)"}
	}
	if cap(s.decoded) < n {
		s.decoded = make([]byte, n+n/4)
	}
	s.decoded, err = snappy.Decode(s.decoded[:cap(s.decoded)], s.body)
	if err != nil {
		return answer{status: http.StatusBadRequest, text: "cannot decompress the body: " + err.Error()}
	}
	return answer{}
}

// write decodes s.decoded and writes what is valid of it. What is not is reported after the rest is durable.
func (h *Handler) write(s *scratch, r *http.Request, version codec.Version, id string) answer {
	req := &s.request
	req.Judge = h.judge(r.Context(), id)
	if h.privacy != nil {
		req.Privacy = h.privacy(id)
	}
	_, span := correlation.Span(r.Context(), "decode")
	err := h.decoder.Decode(req, version, id, s.decoded, h.now().UnixMilli())
	correlation.End(span, err)
	h.tellFound(id, req.Found)
	if err != nil {
		return h.decodeFailed(version, id, err)
	}
	if v := s.tab.Take(req.Accepted.Samples + req.Accepted.Histograms); v != quota.Accepted {
		return h.overLimit(s, version, v)
	}
	req.Batch.Class = h.classOf(id)
	s.receipt = store.Receipt{Offsets: s.receipt.Offsets[:0]}
	if !req.Batch.Empty() {
		if err := h.writer.Write(store.WithReceipt(r.Context(), &s.receipt), &req.Batch); err != nil {
			s.tab.Close(false)
			return h.writeFailed(r, version, id, err)
		}
	}
	failpoint.Hit("receiver/produced")
	s.tab.Close(true)
	req.Commit()
	h.countDropped(s)
	h.metrics.written(req.Accepted)
	a := answer{version: version, status: http.StatusNoContent, accepted: req.Accepted, produced: s.receipt.String()}
	if req.Rejected.Total() > 0 {
		a.status, a.text = http.StatusBadRequest, req.Rejected.String()
		h.reject(id, &req.Rejected)
		h.log.DebugContext(r.Context(), "refused part of a remote write request", "tenant", id, "why", a.text)
	}
	h.countDuplicates(&a, id, req.Duplicates)
	return a
}

func (h *Handler) decodeFailed(version codec.Version, id string, err error) answer {
	switch {
	case errors.Is(err, codec.ErrTooMuch):
		h.metrics.limited.WithLabelValues(limitContents).Inc()
	case errors.Is(err, ha.ErrTooManyClusters):
		h.metrics.limited.WithLabelValues(limitClusters).Inc()
	}
	status := statusOf(err)
	if status == http.StatusBadRequest {
		h.rejectWhole(id, err.Error())
	}
	return answer{version: version, status: status, text: err.Error()}
}

func (h *Handler) writeFailed(r *http.Request, version codec.Version, id string, err error) answer {
	status := statusOf(err)
	if status == http.StatusBadRequest {
		h.rejectWhole(id, err.Error())
	}
	if r.Context().Err() == nil {
		h.log.WarnContext(r.Context(), "cannot write a remote write request", "tenant", id, "status", status, "err", err)
	}
	return answer{version: version, status: status, text: err.Error()}
}

// reject counts and remembers what of a request was refused.
func (h *Handler) reject(id string, refused *codec.Rejected) {
	h.metrics.rejected.add(id, refused)
	now := h.now()
	var list []Rejection
	for _, c := range refused.Cases() {
		list = append(list, Rejection{Time: now.UTC(), Reason: c.Reason.String(), Series: c.Series, Detail: c.Detail})
	}
	h.rejections.add(id, now, list)
}

// rejectWhole remembers a request that was refused whole, for a reason that makes the sender drop it.
func (h *Handler) rejectWhole(id, why string) {
	now := h.now()
	h.rejections.add(id, now, []Rejection{{Time: now.UTC(), Reason: "whole_request", Detail: why}})
}
