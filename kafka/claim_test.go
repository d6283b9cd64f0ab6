package kafka

import (
	"context"
	"errors"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
)

// fakeSession remembers what it is told.
type fakeSession struct {
	sarama.ConsumerGroupSession
	claims  []int32
	reset   map[int32]int64
	marked  map[int32]int64
	commits int
}

func (s *fakeSession) Context() context.Context { return context.Background() }

func (s *fakeSession) Claims() map[string][]int32 {
	return map[string][]int32{DefaultConfig().Topic: s.claims}
}

func (s *fakeSession) ResetOffset(_ string, p int32, offset int64, _ string) { s.reset[p] = offset }
func (s *fakeSession) MarkOffset(_ string, p int32, offset int64, _ string)  { s.marked[p] = offset }
func (s *fakeSession) Commit()                                               { s.commits++ }

func newFakeSession(claims ...int32) *fakeSession {
	return &fakeSession{claims: claims, reset: map[int32]int64{}, marked: map[int32]int64{}}
}

type progressFunc func() (map[int32]int64, error)

func (f progressFunc) Progress(context.Context, string, string) (map[int32]int64, error) { return f() }

func TestSetupTakesAllClaimsBackAtOnce(t *testing.T) {
	c := NewConsumer(DefaultConfig(), ConsumerOptions{Progress: progressFunc(func() (map[int32]int64, error) {
		return map[int32]int64{1: 10, 2: 20}, nil
	})})
	s := newFakeSession(1, 3)
	if err := (&handler{consumer: c}).Setup(s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[int32]int64{1: 10, 3: 0}, s.reset); diff != "" {
		t.Error(diff)
	}
	away := errors.New("away")
	c.opts.Progress = progressFunc(func() (map[int32]int64, error) { return nil, away })
	if err := (&handler{consumer: c}).Setup(s); !errors.Is(err, away) {
		t.Errorf("got %v: what cannot be read must not be taken for nothing", err)
	}
	c.opts.Progress = nil
	s = newFakeSession(1)
	if err := (&handler{consumer: c}).Setup(s); err != nil || len(s.reset) != 0 {
		t.Errorf("without a reader of progress: reset %v, %v", s.reset, err)
	}
}

func TestOnlyHeldClaimsAreMarked(t *testing.T) {
	c := NewConsumer(DefaultConfig(), ConsumerOptions{})
	s, old := newFakeSession(1), newFakeSession(2)
	held, gone := &claim{session: s, partition: 1}, &claim{session: old, partition: 2}
	c.addClaim(held)
	c.commit(&pending{claims: map[*claim]reached{held: {next: 7}, gone: {next: 9}}})
	if diff := cmp.Diff(map[int32]int64{1: 7}, s.marked); diff != "" || s.commits != 1 {
		t.Errorf("%d commits, %s", s.commits, diff)
	}
	if len(old.marked) != 0 || old.commits != 0 {
		t.Errorf("a claim that was given back was marked %v, %d commits", old.marked, old.commits)
	}
}
