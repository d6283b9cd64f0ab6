// Package deployments holds what runs MetricStream elsewhere than on a developer's machine; this file checks it.
package deployments

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

// project loads docker-compose.yml as the compose command does: schema, references and interpolation.
func project(t *testing.T) *types.Project {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "docker-compose.yml")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestComposeHasEveryPart(t *testing.T) {
	names := project(t).ServiceNames()
	for _, want := range []string{"receiver", "consumer", "querier", "kafka", "clickhouse", "postgres", "redis", "grafana", "prometheus", "jaeger"} {
		if !slices.Contains(names, want) {
			t.Errorf("docker-compose.yml has no service %q", want)
		}
	}
}

func TestComposeImagesArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`:v?\d+\.\d+(\.\d+)?$`)
	for _, s := range project(t).Services {
		if s.Build == nil && !pinned.MatchString(s.Image) {
			t.Errorf("service %s: image %q has no version", s.Name, s.Image)
		}
	}
}

func TestComposeMountsExist(t *testing.T) {
	for _, s := range project(t).Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("service %s mounts %s: %v", s.Name, v.Source, err)
			}
		}
	}
}

// TestRolesReachEveryPart: each address in the configuration of the roles is of a service that they wait for.
func TestRolesReachEveryPart(t *testing.T) {
	raw, err := os.ReadFile("compose/metricstream.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Kafka      struct{ Brokers []string }
		ClickHouse struct{ DSN string }
		Metadata   struct{ DSN string }
		Redis      struct{ Address string }
		Tracing    struct {
			Endpoint string
			Insecure bool
		}
	}
	if err := yaml.Unmarshal(raw, &file); err != nil || len(file.Kafka.Brokers) != 1 {
		t.Fatalf("%+v, %v", file, err)
	}
	addresses := []string{file.Kafka.Brokers[0], file.Redis.Address}
	for _, dsn := range []string{file.ClickHouse.DSN, file.Metadata.DSN} {
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, u.Host)
	}
	p := project(t)
	if host, port, err := net.SplitHostPort(file.Tracing.Endpoint); err != nil || port != "4318" || p.Services[host].Image == "" || !file.Tracing.Insecure {
		t.Errorf("traces go to %+v, %v", file.Tracing, err) // nobody waits for it
	}
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			t.Errorf("%q: %v", address, err)
		}
		for _, role := range []string{"receiver", "consumer", "querier"} {
			if p.Services[role].DependsOn[host].Condition != types.ServiceConditionHealthy {
				t.Errorf("the %s does not wait for %s", role, host)
			}
		}
		if p.Services[host].HealthCheck == nil {
			t.Errorf("nothing tells when %s is healthy", host)
		}
	}
}

// TestDataSourcePointsAtTheQuerier guards the address that Grafana is provisioned with.
func TestDataSourcePointsAtTheQuerier(t *testing.T) {
	raw, err := os.ReadFile("grafana/datasources.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Datasources []struct{ Type, URL string }
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Datasources) != 1 || file.Datasources[0].Type != "prometheus" || !strings.HasPrefix(file.Datasources[0].URL, "http://querier:") {
		t.Errorf("got %+v", file.Datasources)
	}
}
