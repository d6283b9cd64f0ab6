package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/alecthomas/kingpin/v2"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/bench"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "null" {
		l, _ := net.Listen("tcp", os.Args[2])
		http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", "2000")
			w.WriteHeader(204)
		}))
		return
	}
	app := kingpin.New("metricstream", "")
	run := bench.Command(app)
	sel := kingpin.MustParse(app.Parse(os.Args[1:]))
	if _, err := run(context.Background(), sel, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
