package clickhouse

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/churl"
	"github.com/metricstream/metricstream/internal/dsn"
	"github.com/prometheus/common/config"
)

// DefaultDatabase is where the tables are when the DSN names no database.
const DefaultDatabase = "metricstream"

// Config says which ClickHouse to use.
type Config struct {
	// DSN is clickhouse://user:password@host:9000/database, with several hosts separated by commas, and
	// options such as secure=true, compress=lz4 or dial_timeout=10s. Only the native protocol is supported.
	DSN string `yaml:"dsn"`

	// TLS, where it is there, even empty, makes the connections encrypted, as secure=true in the DSN does; it also
	// names the authority and the client's certificate.
	TLS *config.TLSConfig `yaml:"tls,omitempty"`

	// MaxConnections bounds the writes, the reads, and the reads beside these that run at once; others wait.
	MaxConnections int `yaml:"max_connections"`
}

// DefaultConfig returns the defaults; DSN has none.
func DefaultConfig() Config { return Config{MaxConnections: 64} }

// Validate checks everything that can be checked without a connection. An empty DSN is valid: the caller fills in
// the embedded engine's.
func (c Config) Validate() error {
	if c.MaxConnections < 1 {
		return fmt.Errorf("clickhouse.max_connections is %d: set it to 1 or more", c.MaxConnections)
	}
	if c.DSN == "" {
		return nil
	}
	_, err := c.parse()
	return err
}

// Redacted returns the section without what is secret in its DSN.
func (c Config) Redacted() Config {
	c.DSN = dsn.Redact(c.DSN, churl.Parse)
	return c
}

// parse returns the options of the DSN with the database named. Its errors do not repeat the DSN, which has a
// password in it.
func (c Config) parse() (*clickhouse.Options, error) {
	if c.DSN == "" {
		return nil, errors.New("clickhouse.dsn is empty: set it to something like clickhouse://user:password@host:9000/metricstream")
	}
	o, err := clickhouse.ParseDSN(c.DSN)
	if err != nil || !knownScheme(c.DSN) {
		return nil, errors.New("clickhouse.dsn cannot be parsed: set it to something like clickhouse://user:password@host:9000/metricstream")
	}
	if o.Protocol != clickhouse.Native {
		return nil, errors.New("clickhouse.dsn names the HTTP protocol: use clickhouse:// and the native port, 9000 or with secure=true 9440")
	}
	if o.Auth.Database == "" {
		o.Auth.Database = DefaultDatabase
	}
	if o.Auth.Username == "" {
		o.Auth.Username = "default"
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 10 * time.Second
	}
	if c.TLS != nil {
		if o.TLS, err = config.NewTLSConfig(c.TLS); err != nil {
			return nil, fmt.Errorf("clickhouse.tls: %w", err)
		}
	}
	return o, nil
}

// knownScheme refuses what the client library lets pass: it takes every scheme it does not know for ClickHouse's.
func knownScheme(dsn string) bool {
	scheme, _, _ := strings.Cut(dsn, "://")
	return slices.Contains([]string{"clickhouse", "tcp", "native", "http", "https"}, scheme)
}

// chOptions translates the DSN's options for ch-go, all but the address.
func chOptions(o *clickhouse.Options) ch.Options {
	opt := ch.Options{
		Database:         o.Auth.Database,
		User:             o.Auth.Username,
		Password:         o.Auth.Password,
		ClientName:       "metricstream",
		TLS:              o.TLS,
		DialTimeout:      o.DialTimeout,
		HandshakeTimeout: o.DialTimeout,
		// A packet that does not come within this time makes the client look whether its context is done, and
		// go on waiting if it is not; only a greeting that takes so long is an error. A server that works on
		// a statement sends progress ten times a second, so a cancelled statement ends sooner than this.
		ReadTimeout: 5 * time.Second,
	}
	if o.Compression != nil {
		switch o.Compression.Method {
		case clickhouse.CompressionLZ4:
			opt.Compression = ch.CompressionLZ4
		case clickhouse.CompressionLZ4HC:
			opt.Compression = ch.CompressionLZ4HC
		case clickhouse.CompressionZSTD:
			opt.Compression = ch.CompressionZSTD
		}
	}
	for k, v := range o.Settings {
		opt.Settings = append(opt.Settings, ch.Setting{Key: k, Value: fmt.Sprint(v), Important: true})
	}
	return opt
}
