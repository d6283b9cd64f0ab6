// Package model is the model test: the real producer and consumer, thousands of random interleavings of writes, crashes,
// rebalances, restores and replays a second, in virtual time, against an oracle that knows what was acknowledged.
// README.md says what is modelled.
package model

import (
	"flag"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	oneSeed = flag.Uint64("seed", 0, "run only the interleaving of this seed")
	atLeast = flag.Duration("for", 0, "run interleavings of random seeds for this long")
	seeds   = flag.Uint64("seeds", 0, "run the interleavings of seeds 1 to this, and stop at the first failure")
	plant   = flag.String("plant", "", "the fault that is built into the tables")
)

// usual is how long the test takes where nothing else is asked for.
const usual = 4 * time.Second

func TestModel(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // short lives, little memory
	if *oneSeed != 0 {
		reproduce(t, *oneSeed)
		return
	}
	d, base := usual, uint64(1)
	if *atLeast > 0 {
		d, base = *atLeast, rand.Uint64()>>1
		t.Logf("seeds from %d on", base)
	}
	var next, ran atomic.Uint64
	next.Store(base - 1)
	begin := time.Now()
	var failed atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for failed.Load() == 0 {
				seed := next.Add(1)
				if *seeds > 0 && seed > *seeds || *seeds == 0 && time.Since(begin) > d {
					return
				}
				if len(run(t, seed, script(seed))) > 0 {
					failed.CompareAndSwap(0, seed)
				}
				ran.Add(1)
			}
		})
	}
	workers.Wait()
	seconds := time.Since(begin).Seconds()
	t.Logf("%d interleavings in %.1f s: %.0f a second on %d cores", ran.Load(), seconds, float64(ran.Load())/seconds, runtime.GOMAXPROCS(0))
	if seed := failed.Load(); seed != 0 {
		reproduce(t, seed)
		t.Errorf("seed %d failed; to run only it: go test ./test/model -run TestModel -seed=%d", seed, seed)
	}
}

// run plays one interleaving in a bubble of virtual time and returns what is wrong after it.
func run(t *testing.T, seed uint64, events []event) (failures []string) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed)
		w.ctx = t.Context()
		failures = w.play(events)
	})
	return failures
}
