package clickhouse

import (
	"errors"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metricstream/metricstream/store"
)

// verdict gives an error of a client or the server its kind. All that is not plainly a fault of the statement or
// its data may go away by itself or by an operator's hand, and is left as unavailable: a batch that is refused
// for good is lost.
func verdict(err error) error {
	if code, ok := codeOf(err); ok && faultOfStatement(code) {
		return store.Invalidf("%w", err)
	}
	return err
}

// Unreachable tells the errors of a connection from those that the server answers with, which show that it is there.
func Unreachable(err error) bool {
	_, answered := codeOf(err)
	return !answered
}

// openVerdict is the verdict while a store is being opened. Nothing can be lost yet, so what an operator has to
// mend is said to be so instead of being tried for ever.
func openVerdict(err error) error {
	if code, ok := codeOf(err); ok && faultOfSetup(code) {
		return store.Invalidf("%w", err)
	}
	return verdict(err)
}

// codeOf returns the error code of the server, if the error came from there by either client.
func codeOf(err error) (int, bool) {
	if e, ok := ch.AsException(err); ok {
		return int(e.Code), true
	}
	var e *clickhouse.Exception
	if errors.As(err, &e) {
		return int(e.Code), true
	}
	return 0, false
}

func faultOfStatement(code int) bool {
	switch code {
	case 6, // CANNOT_PARSE_TEXT
		26,  // CANNOT_PARSE_QUOTED_STRING
		27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
		36,  // BAD_ARGUMENTS
		43,  // ILLEGAL_TYPE_OF_ARGUMENT
		53,  // TYPE_MISMATCH
		62,  // SYNTAX_ERROR
		70,  // CANNOT_CONVERT_TYPE
		72,  // CANNOT_PARSE_NUMBER
		117, // INCORRECT_DATA
		427: // CANNOT_COMPILE_REGEXP
		return true
	}
	return false
}

func faultOfSetup(code int) bool {
	switch code {
	case 46, // UNKNOWN_FUNCTION
		47,  // UNKNOWN_IDENTIFIER
		48,  // NOT_IMPLEMENTED
		50,  // UNKNOWN_TYPE
		56,  // UNKNOWN_STORAGE
		115, // UNKNOWN_SETTING
		497, // ACCESS_DENIED
		516: // AUTHENTICATION_FAILED
		return true
	}
	return false
}
