package kafka

import (
	"fmt"

	"github.com/IBM/sarama"
	"github.com/prometheus/common/config"
	"github.com/xdg-go/scram"

	"github.com/metricstream/metricstream/store"
)

// SASL is how the client says to the brokers who it is.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. PLAIN sends the password as it is, so it wants TLS.
	Mechanism string        `yaml:"mechanism"`
	Username  string        `yaml:"username"`
	Password  config.Secret `yaml:"password"`
}

// hashes are what the mechanisms that do not send the password make of it.
var hashes = map[string]scram.HashGeneratorFcn{
	sarama.SASLTypeSCRAMSHA256: scram.SHA256,
	sarama.SASLTypeSCRAMSHA512: scram.SHA512,
}

func (s *SASL) validate() error {
	if s == nil {
		return nil
	}
	if _, ok := hashes[s.Mechanism]; !ok && s.Mechanism != sarama.SASLTypePlaintext {
		return fmt.Errorf("kafka.sasl.mechanism: %q is not PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism)
	}
	if s.Username == "" || s.Password == "" {
		return fmt.Errorf("kafka.sasl: username or password is empty; set both, or remove the section")
	}
	return nil
}

// secure makes the client speak TLS and say who it is, where the configuration asks for it. Its errors are of
// [store.KindInvalid]: a file that cannot be read does not get better by waiting.
func (c Config) secure(s *sarama.Config) error {
	if c.TLS != nil {
		tls, err := config.NewTLSConfig(c.TLS)
		if err != nil {
			return store.Invalidf("kafka.tls: %w", err)
		}
		s.Net.TLS.Enable, s.Net.TLS.Config = true, tls
	}
	if c.SASL == nil {
		return nil
	}
	s.Net.SASL.Enable = true
	s.Net.SASL.Mechanism = sarama.SASLMechanism(c.SASL.Mechanism)
	s.Net.SASL.User, s.Net.SASL.Password = c.SASL.Username, string(c.SASL.Password)
	if hash := hashes[c.SASL.Mechanism]; hash != nil {
		s.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{hash: hash} }
	}
	return nil
}

// conversation is one exchange of SCRAM (RFC 5802), as the client library wants it.
type conversation struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

// Begin implements [sarama.SCRAMClient].
func (c *conversation) Begin(user, password, authzID string) error {
	client, err := c.hash.NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	c.ClientConversation = client.NewConversation()
	return nil
}
