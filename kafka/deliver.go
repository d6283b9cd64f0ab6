package kafka

import (
	"fmt"
	"time"
)

// deliverTimeout is how long the log is waited for. Senders wait 30 s usually, and one that gave up before it was
// answered does not know when to come again.
const deliverTimeout = 20 * time.Second

// deliver sends the messages and returns when the log has answered, or when it has not in time. sarama has no time limit
// on the whole: while the leader of a partition is away it asks others who leads, tries again, and waits behind
// everything else that does so. What was not answered may be appended yet; its rows come again then, and are the same.
func (p *Producer) deliver(s *scratch) error {
	answered := make(chan error, 1)
	go func() { answered <- p.log.SendMessages(s.messages) }() // sarama's own limits end it, or the end of the log
	timeout := time.NewTimer(deliverTimeout)
	defer timeout.Stop()
	select {
	case err := <-answered:
		return err
	case <-timeout.C:
		s.abandoned = true
		return fmt.Errorf("no answer for %d records within %v", len(s.messages), deliverTimeout)
	}
}
