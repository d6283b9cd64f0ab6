package remotewrite

import (
	"net/http"
	"sync"
	"time"
)

const (
	// maxRejections is how many of a tenant's refusals are remembered.
	maxRejections = 100

	// maxRejectedTenants bounds the tenants whose refusals are remembered; the one whose newest is the oldest
	// gives way. One takes at most some 100 kB.
	maxRejectedTenants = 256
)

// Rejection is one thing that was refused.
type Rejection struct {
	// Time is when.
	Time time.Time `json:"time"`

	// Reason is the word that also is the label of metricstream_remote_write_rejected_total.
	Reason string `json:"reason"`

	// Series names the series, shortened where it is long; it is empty where a request was refused whole.
	Series string `json:"series"`

	// Detail is a sentence.
	Detail string `json:"detail"`
}

// rejections remembers the newest refusals of each tenant.
type rejections struct {
	mu      sync.Mutex
	tenants map[string]*ring
}

// ring holds a tenant's newest refusals; next is the place of the oldest once it is full.
type ring struct {
	all  []Rejection
	next int
	last time.Time
}

// add remembers refusals, oldest first.
func (r *rejections) add(id string, now time.Time, list []Rejection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tenants[id]
	if t == nil {
		r.makeRoom()
		t = &ring{}
		r.tenants[id] = t
	}
	t.last = now
	for _, one := range list {
		if len(t.all) < maxRejections {
			t.all = append(t.all, one)
			continue
		}
		t.all[t.next] = one
		t.next = (t.next + 1) % maxRejections
	}
}

// makeRoom forgets the tenant whose newest refusal is the oldest, where there are too many tenants.
func (r *rejections) makeRoom() {
	if len(r.tenants) < maxRejectedTenants {
		return
	}
	oldest := ""
	for id, t := range r.tenants {
		if oldest == "" || t.last.Before(r.tenants[oldest].last) {
			oldest = id
		}
	}
	delete(r.tenants, oldest)
}

// of returns a tenant's refusals, the newest first.
func (r *rejections) of(id string) []Rejection {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []Rejection{}
	if t := r.tenants[id]; t != nil {
		for i := len(t.all) - 1; i >= 0; i-- {
			list = append(list, t.all[(t.next+i)%len(t.all)])
		}
	}
	return list
}

// Rejections answers GET requests with the newest refusals of the request's tenant, as JSON in the envelope of the
// Prometheus API. It knows those of this process since its start.
func (h *Handler) Rejections(w http.ResponseWriter, r *http.Request) {
	type data struct {
		Rejections []Rejection `json:"rejections"`
	}
	answerStatus(w, r, func(id string) any { return data{h.rejections.of(id)} })
}
