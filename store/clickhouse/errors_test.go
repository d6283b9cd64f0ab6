package clickhouse

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metricstream/metricstream/store"
)

func TestVerdicts(t *testing.T) {
	const unavailable, invalid = store.KindUnavailable, store.KindInvalid
	hot := func(code int) error { return fmt.Errorf("wrapped: %w", &ch.Exception{Code: proto.Error(code)}) }
	admin := func(code int32) error { return fmt.Errorf("wrapped: %w", &clickhouse.Exception{Code: code}) }
	for _, c := range []struct {
		err              error
		running, opening store.Kind
	}{
		{io.EOF, unavailable, unavailable},
		{errors.New("connection refused"), unavailable, unavailable},
		{hot(241), unavailable, unavailable},   // MEMORY_LIMIT_EXCEEDED
		{hot(252), unavailable, unavailable},   // TOO_MANY_PARTS
		{hot(159), unavailable, unavailable},   // TIMEOUT_EXCEEDED
		{hot(242), unavailable, unavailable},   // TABLE_IS_READ_ONLY
		{hot(60), unavailable, unavailable},    // UNKNOWN_TABLE: an operator can bring it back
		{admin(516), unavailable, invalid},     // AUTHENTICATION_FAILED
		{admin(46), unavailable, invalid},      // UNKNOWN_FUNCTION
		{admin(252), unavailable, unavailable}, // TOO_MANY_PARTS
		{hot(62), invalid, invalid},            // SYNTAX_ERROR
		{admin(62), invalid, invalid},
		{hot(427), invalid, invalid}, // CANNOT_COMPILE_REGEXP
	} {
		if k := store.KindOf(verdict(c.err)); k != c.running {
			t.Errorf("%v is of kind %v", c.err, k)
		}
		if k := store.KindOf(openVerdict(c.err)); k != c.opening {
			t.Errorf("%v is of kind %v while opening", c.err, k)
		}
		if !errors.Is(verdict(c.err), c.err) {
			t.Errorf("%v is lost", c.err)
		}
	}
}
