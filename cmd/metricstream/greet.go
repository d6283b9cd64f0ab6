package main

import (
	"fmt"
	"net"
	"strings"
)

// greet says on standard output how to use what has been started.
func (n *node) greet(address string) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		port = strings.TrimPrefix(address, ":")
	}
	base := "http://localhost:" + port
	if n.config.Web.ConfigFile != "" {
		base = "https://localhost:" + port
	}
	fmt.Printf("\nMetricStream is ready (%s).\n\n", n.role.name)
	if n.role.receives {
		fmt.Printf("  Write, in prometheus.yml:   remote_write: [{url: %s/api/v1/write}]\n", base)
	}
	if n.role.queries {
		fmt.Printf("  Query, in Grafana:          a Prometheus data source with the URL %s\n", base)
		fmt.Printf("  Query, by hand:             curl '%s/api/v1/query?query=up'\n", base)
	}
	if n.config.Auth.Enabled {
		fmt.Printf("  With an API key:            Authorization: Bearer KEY, or KEY as the password of basic authentication\n")
	}
	fmt.Printf("  Watch:                      %s/metrics, %s/-/ready\n\n", base, base)
}
