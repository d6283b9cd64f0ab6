package engine

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	mrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"text/template"
)

const (
	configFile  = "config.xml"
	usersFile   = "users.xml"
	startFile   = "start.sql"
	hostLogFile = "host.log"
	userName    = "metricstream"
)

// access is how a client reaches the engine.
type access struct {
	addr, user, password string
	port                 int
}

func (a access) dsn() string {
	return fmt.Sprintf("clickhouse://%s:%s@%s", a.user, a.password, a.addr)
}

// Ports are chosen below the range from which systems take the ports of outgoing connections: there, a client
// that polls while the engine restarts could connect to itself and keep the engine from its port.
const minPort, maxPort = 20000, 32000

func newAccess() (access, error) {
	secret := make([]byte, 24)
	rand.Read(secret) // never fails, see its documentation
	for range 100 {
		port := minPort + mrand.IntN(maxPort-minPort)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		return access{addr: addr, user: userName, password: hex.EncodeToString(secret), port: port}, nil
	}
	return access{}, fmt.Errorf("cannot find a free port between %d and %d on 127.0.0.1 for the ClickHouse engine", minPort, maxPort)
}

// The log tables of the server are off because nobody prunes them; the caches are small because the samples'
// marks are few and the system's page cache does the rest. Two threads for scheduled tasks, which is what this
// mode of ClickHouse has, are too few for the tables that there are, and the log fills with complaints.
var configTemplate = template.Must(template.New("config").Parse(`<clickhouse>
  <log-level>warning</log-level>
  <logger>
    <log>{{.Dir}}/log/engine.log</log>
    <size>10M</size>
    <count>3</count>
    <console>0</console>
  </logger>
  <path>{{.Dir}}/data/</path>
  <tmp_path>{{.Dir}}/data/tmp/</tmp_path>
  <user_files_path>{{.Dir}}/data/user_files/</user_files_path>
  <format_schema_path>{{.Dir}}/data/format_schemas/</format_schema_path>
  <users_config>{{.Dir}}/users.xml</users_config>
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>{{.Port}}</tcp_port>
  {{- if .MaxMemory}}
  <max_server_memory_usage>{{.MaxMemory}}</max_server_memory_usage>
  {{- else}}
  <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
  {{- end}}
  <background_pool_size>{{.Mergers}}</background_pool_size>
  <background_schedule_pool_size>16</background_schedule_pool_size>
  <merge_tree>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>{{.Mergers}}</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
  </merge_tree>
  <mark_cache_size>134217728</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <index_mark_cache_size>16777216</index_mark_cache_size>
  <index_uncompressed_cache_size>0</index_uncompressed_cache_size>
  <mmap_cache_size>1000</mmap_cache_size>
  <compiled_expression_cache_size>33554432</compiled_expression_cache_size>
</clickhouse>
`))

// The user default is the one as whom the engine runs its start script, without a password; nothing can change
// that. So it may have one session only, which is that one, and nothing is granted to it but to start to listen.
// With poll_interval, idle connections notice within a second, not ten, that the engine closes.
var usersTemplate = template.Must(template.New("users").Parse(`<clickhouse>
  <profiles>
    <default><poll_interval>1</poll_interval></default>
    <starter><max_sessions_for_user>1</max_sessions_for_user></starter>
  </profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <no_password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>starter</profile>
      <quota>default</quota>
      <grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants>
    </default>
    <{{.User}}>
      <password_sha256_hex>{{.Hash}}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <access_management>1</access_management>
    </{{.User}}>
  </users>
</clickhouse>
`))

// writeConfig writes the files that the engine reads when it starts. They hold the hash of the password, so
// only the owner may read them.
func writeConfig(o Options, a access) error {
	if err := os.MkdirAll(filepath.Join(o.Dir, "log"), 0o700); err != nil {
		return fmt.Errorf("cannot make the engine's log folder: %w", err)
	}
	var dir bytes.Buffer
	if err := xml.EscapeText(&dir, []byte(o.Dir)); err != nil {
		return fmt.Errorf("cannot write the engine's folder into its configuration: %w", err)
	}
	hash := sha256.Sum256([]byte(a.password))
	values := map[string]any{"Dir": dir.String(), "Port": a.port, "MaxMemory": o.MaxMemoryBytes, "User": a.user, "Mergers": mergers(), "Hash": hex.EncodeToString(hash[:])}
	for name, t := range map[string]*template.Template{configFile: configTemplate, usersFile: usersTemplate} {
		var text bytes.Buffer
		if err := t.Execute(&text, values); err != nil {
			return fmt.Errorf("cannot fill in the engine's %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(o.Dir, name), text.Bytes(), 0o600); err != nil {
			return fmt.Errorf("cannot write the engine's configuration: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(o.Dir, startFile), []byte("SYSTEM START LISTEN TCP;\n"), 0o600); err != nil {
		return fmt.Errorf("cannot write the engine's start script: %w", err)
	}
	return nil
}

// mergers returns how many threads merge parts: this mode of ClickHouse has two on every machine. Each has two merges
// to choose from, and half of these places are kept for small merges, so that long ones do not let parts pile up.
func mergers() int { return min(max(runtime.NumCPU(), 2), 16) }
