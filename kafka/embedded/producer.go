package embedded

import (
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// Producer returns a producer of the log's topic. A message is acknowledged when it is on the disk. Messages
// must name their partition; SendMessages appends all of them or none.
func (l *Log) Producer() sarama.SyncProducer { return &producer{log: l} }

type producer struct{ log *Log }

var errNoTransactions = errors.New("the embedded log has no transactions")

// SendMessage appends one message.
func (p *producer) SendMessage(m *sarama.ProducerMessage) (int32, int64, error) {
	if err := p.send([]*sarama.ProducerMessage{m}); err != nil {
		return -1, -1, err
	}
	return m.Partition, m.Offset, nil
}

// SendMessages appends all messages as a whole.
func (p *producer) SendMessages(ms []*sarama.ProducerMessage) error {
	if len(ms) == 0 {
		return nil
	}
	err := p.send(ms)
	if err == nil {
		return nil
	}
	errs := make(sarama.ProducerErrors, len(ms))
	for i, m := range ms {
		errs[i] = &sarama.ProducerError{Msg: m, Err: err}
	}
	return errs
}

func (p *producer) send(ms []*sarama.ProducerMessage) error {
	messages := make([]message, len(ms))
	total := 0
	for i, m := range ms {
		if m.Topic != p.log.opts.Topic {
			return fmt.Errorf("cannot append to topic %q, this log is %q: %w", m.Topic, p.log.opts.Topic, sarama.ErrUnknownTopicOrPartition)
		}
		if m.Partition < 0 || int(m.Partition) >= p.log.Partitions() {
			return fmt.Errorf("cannot append to partition %d, there are %d: %w", m.Partition, p.log.Partitions(), sarama.ErrInvalidPartition)
		}
		to := &messages[i]
		to.partition, to.headers, to.at = m.Partition, m.Headers, m.Timestamp
		var err error
		if to.key, err = encoded(m.Key); err != nil {
			return err
		}
		if to.value, err = encoded(m.Value); err != nil {
			return err
		}
		size := fixedBytes + len(to.key) + len(to.value)
		if size > maxFrameBytes/2 {
			return fmt.Errorf("cannot append a message of %d bytes: %w", size, sarama.ErrMessageSizeTooLarge)
		}
		total += size
	}
	if err := p.log.append(messages, total); err != nil {
		return err
	}
	for i := range messages {
		ms[i].Offset, ms[i].Timestamp = messages[i].offset, messages[i].at
	}
	return nil
}

func encoded(e sarama.Encoder) ([]byte, error) {
	if e == nil {
		return nil, nil
	}
	b, err := e.Encode()
	if err != nil {
		return nil, fmt.Errorf("cannot encode message: %w", err)
	}
	return b, nil
}

// Close does nothing: the log belongs to whoever opened it.
func (p *producer) Close() error { return nil }

func (p *producer) TxnStatus() sarama.ProducerTxnStatusFlag {
	return sarama.ProducerTxnFlagUninitialized
}
func (p *producer) IsTransactional() bool { return false }
func (p *producer) BeginTxn() error       { return errNoTransactions }
func (p *producer) CommitTxn() error      { return errNoTransactions }
func (p *producer) AbortTxn() error       { return errNoTransactions }

func (p *producer) AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata, string) error {
	return errNoTransactions
}

func (p *producer) AddOffsetsToTxnWithGroupMetadata(map[string][]*sarama.PartitionOffsetMetadata, *sarama.ConsumerGroupMetadata) error {
	return errNoTransactions
}

func (p *producer) AddMessageToTxn(*sarama.ConsumerMessage, string, *string) error {
	return errNoTransactions
}

func (p *producer) AddMessageToTxnWithGroupMetadata(*sarama.ConsumerMessage, *sarama.ConsumerGroupMetadata, *string) error {
	return errNoTransactions
}
