// Package model is the model test: the real producer and consumer, thousands of random interleavings of writes, crashes,
// rebalances, restores and replays a second, in virtual time, against an oracle that knows what was acknowledged.
// README.md says what is modelled.
package model

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
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

// foundOnce are seeds of interleavings too rare to be met each time, which found a fault. 41468: tables are restored while an
// expelled consumer writes its second batch.
var foundOnce = []uint64{41468}

// TestFoundOnce runs them again.
func TestFoundOnce(t *testing.T) {
	for _, seed := range foundOnce {
		if failures := fails(t, seed, script(seed), attempts); failures != nil {
			t.Errorf("seed %d fails: %q", seed, failures)
		}
	}
}

func TestModel(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // short lives, little memory
	if *oneSeed != 0 {
		reproduce(t, *oneSeed)
		return
	}
	first, until := uint64(1), time.Now().Add(usual)
	if *atLeast > 0 {
		first, until = rand.Uint64()>>1, time.Now().Add(*atLeast)
		t.Logf("seeds from %d on", first)
	}
	due := func(seed uint64) bool {
		if *seeds > 0 {
			return seed <= *seeds
		}
		return time.Now().Before(until)
	}
	begin, cpu := time.Now(), cpuSeconds()
	ran, failed, failures := explore(t, first, due)
	seconds, cpu := time.Since(begin).Seconds(), cpuSeconds()-cpu
	t.Logf("%d interleavings in %.1f s and %.1f s of CPU time: %.0f a second, %.0f a second and core", ran, seconds, cpu, float64(ran)/seconds, float64(ran)/cpu)
	if failures == nil {
		return
	}
	t.Errorf("seed %d fails: %q\nto run only it: go test ./test/model -run TestModel -seed=%d", failed, failures, failed)
	if *seeds == 0 {
		reproduce(t, failed)
	}
}

// cpuSeconds is the CPU time of this process: on a machine that others use too it says what the clock does not.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// explore runs seeds, on all cores, for as long as they are due and none fails. It returns how many it ran, and of one
// that failed what was wrong.
func explore(t *testing.T, first uint64, due func(seed uint64) bool) (ran, failed uint64, failures []string) {
	var mu sync.Mutex
	var workers sync.WaitGroup
	next := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		seed := first + ran
		if failures != nil || !due(seed) {
			return 0, false
		}
		ran++
		return seed, true
	}
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed, ok := next(); ok; seed, ok = next() {
				if found := run(t, seed, script(seed)); found != nil {
					mu.Lock()
					failed, failures = seed, found
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return ran, failed, failures
}

// run plays one interleaving in a bubble of virtual time and returns what is wrong after it.
func run(t *testing.T, seed uint64, events []event) (failures []string) {
	defer func() {
		if p := recover(); p != nil { // everybody waits for each other
			failures = append(failures, fmt.Sprint(p))
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed)
		w.ctx = t.Context()
		failures = w.play(events)
	})
	return failures
}
