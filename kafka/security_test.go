package kafka

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/metricstream/metricstream/internal/testenv"
	"github.com/metricstream/metricstream/store"
)

// TestSecureKafka writes and reads over TLS 1.3 with a client's certificate as a user of each mechanism, and is kept
// out without one of them.
func TestSecureKafka(t *testing.T) {
	authority := testenv.NewAuthority(t)
	broker := testenv.StartSecureKafka(t, authority)
	cfg := testConfig()
	cfg.Brokers = []string{broker.SecureAddress}
	cfg.TLS = &config.TLSConfig{
		CAFile:   filepath.Join(authority.Dir, "ca.crt"),
		CertFile: filepath.Join(authority.Dir, "client.crt"), KeyFile: filepath.Join(authority.Dir, "client.key"),
	}
	cfg.SASL = &SASL{Mechanism: "SCRAM-SHA-512", Username: testenv.KafkaUser, Password: testenv.KafkaPassword}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			cfg := cfg
			cfg.SASL = &SASL{Mechanism: mechanism, Username: testenv.KafkaUser, Password: testenv.KafkaPassword}
			log, err := OpenBrokers(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			_, offset, err := log.Producer.SendMessage(&sarama.ProducerMessage{Topic: cfg.Topic, Value: sarama.StringEncoder("x")})
			if err != nil {
				t.Fatal(err)
			}
			tail := NewTail(cfg)
			defer tail.Close()
			ends, err := tail.Ends(t.Context())
			if err != nil || ends.Next[0] != offset+1 {
				t.Errorf("the topic ends at %v (%v) after a record at %d", ends.Next, err, offset)
			}
			group, err := log.Group()
			if err != nil {
				t.Fatal(err)
			}
			if err := group.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	for name, spoil := range map[string]func(*Config){
		"no TLS":         func(c *Config) { c.TLS = nil },
		"no certificate": func(c *Config) { c.TLS = &config.TLSConfig{CAFile: c.TLS.CAFile} },
		"no authority":   func(c *Config) { c.TLS = &config.TLSConfig{CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile} },
		"no user":        func(c *Config) { c.SASL = nil },
		"wrong password": func(c *Config) {
			c.SASL = &SASL{Mechanism: c.SASL.Mechanism, Username: c.SASL.Username, Password: "a wrong one"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cfg
			spoil(&cfg)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			told := &firstLine{then: cancel}
			if _, err := OpenBrokers(ctx, cfg, slog.New(slog.NewTextHandler(told, nil))); err == nil {
				t.Error("it was let in")
			}
			if !strings.Contains(told.text, "cannot reach Kafka yet") || strings.Contains(told.text, "a wrong one") {
				t.Errorf("logged was %s", told.text)
			}
		})
	}
}

// firstLine is a log that calls a function when something was logged.
type firstLine struct {
	text string
	then func()
}

func (l *firstLine) Write(p []byte) (int, error) {
	l.text += string(p)
	l.then()
	return len(p), nil
}

func TestSecurityConfig(t *testing.T) {
	for text, problem := range map[string]string{
		"sasl: {mechanism: GSSAPI, username: a, password: b}": "kafka.sasl.mechanism",
		"sasl: {mechanism: PLAIN, username: a}":               "kafka.sasl: username or password is empty",
	} {
		c := DefaultConfig()
		if err := yaml.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: got %v", text, err)
		}
	}
	c := DefaultConfig()
	if err := yaml.Unmarshal([]byte("tls: {}\nsasl: {mechanism: PLAIN, username: a, password: secret-b}"), &c); err != nil || c.Validate() != nil || c.TLS == nil {
		t.Errorf("%+v, %v, %v", c, err, c.Validate())
	}
	if shown, err := yaml.Marshal(c); err != nil || strings.Contains(string(shown), "secret-b") {
		t.Errorf("the password is shown: %s, %v", shown, err)
	}
}

// TestBrokenAuthorityIsNotWaitedFor: a file that is not there is an error at once.
func TestBrokenAuthorityIsNotWaitedFor(t *testing.T) {
	cfg := testConfig()
	cfg.Brokers, cfg.TLS = []string{"127.0.0.1:1"}, &config.TLSConfig{CAFile: filepath.Join(t.TempDir(), "none.crt")}
	if _, err := OpenBrokers(t.Context(), cfg, slog.New(slog.DiscardHandler)); store.KindOf(err) != store.KindInvalid || !strings.Contains(err.Error(), "kafka.tls") {
		t.Errorf("got %v", err)
	}
}
