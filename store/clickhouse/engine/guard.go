package engine

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/ebitengine/purego"
)

const sigabrt = 6

type guard struct {
	parked atomic.Int32
	signal func(sig int32, handler uintptr) uintptr
}

func (g *guard) install(handle uintptr) error {
	symbol, err := purego.Dlsym(handle, "signal")
	if err != nil {
		return err
	}
	purego.RegisterFunc(&g.signal, symbol)
	g.signal(sigabrt, purego.NewCallback(g.handle))
	return nil
}

func (g *guard) handle(sig int32) uintptr {
	b, _ := os.ReadFile("/proc/thread-self/comm")
	name := strings.TrimSpace(string(b))
	fmt.Fprintf(os.Stderr, "abort in %q\n", name)
	g.parked.Add(1)
	select {}
}
