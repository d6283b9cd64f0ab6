package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// SecureKafka is a broker that has, beside its plain listener, one that asks for TLS with a client's certificate and for a
// user.
type SecureKafka struct {
	*Kafka

	// SecureAddress is where that listener is, host:port.
	SecureAddress string
}

// The user of a [SecureKafka], who is known to PLAIN and both SCRAM mechanisms.
const (
	KafkaUser     = "metricstream"
	KafkaPassword = "a password of the tests"
)

// StartSecureKafka starts a broker with the authority's certificate for servers. It is killed when the test ends.
func StartSecureKafka(t testing.TB, a *Authority) *SecureKafka {
	t.Helper()
	k := newKafka(t, 1, []string{FreeAddress(t)}, FreeAddress(t))
	k.secure = &secureListener{address: FreeAddress(t), keys: k.path("keystore.pem"), trusted: filepath.Join(a.Dir, "ca.crt")}
	k.write("keystore.pem", a.read(t, "server.key")+a.read(t, "server.crt"))
	k.format()
	k.start()
	return &SecureKafka{Kafka: k, SecureAddress: k.secure.address}
}

func (a *Authority) read(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(a.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// secureListener is what a broker's properties say of the listener; nil is none.
type secureListener struct{ address, keys, trusted string }

func (l *secureListener) listener() string {
	if l == nil {
		return ""
	}
	return ",SASL_SSL://" + l.address
}

func (l *secureListener) properties() []string {
	if l == nil {
		return nil
	}
	return []string{
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + l.keys,
		"ssl.truststore.type=PEM", "ssl.truststore.location=" + l.trusted,
		"listener.name.sasl_ssl.ssl.client.auth=required", "ssl.enabled.protocols=TLSv1.3",
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		`listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required ` +
			`user_` + KafkaUser + `="` + KafkaPassword + `";`,
		"listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
	}
}

// users are the arguments that make the user when the data folder is formatted.
func (l *secureListener) users() []string {
	if l == nil {
		return nil
	}
	const user = `=[name="` + KafkaUser + `",password="` + KafkaPassword + `"]`
	return []string{"--add-scram", "SCRAM-SHA-256" + user, "--add-scram", "SCRAM-SHA-512" + user}
}
