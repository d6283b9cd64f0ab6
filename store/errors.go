package store

import (
	"errors"
	"fmt"
)

// Kind is the verdict of an error: what can be done about it. It is decided once, where it is known; the HTTP
// edge and the log's loop each have one table that reads it.
type Kind int

const (
	// KindUnavailable is a fault of the moment: trying the same again can help. It is the verdict of every
	// error that says nothing else.
	KindUnavailable Kind = iota
	// KindInvalid is a fault of what was asked or sent: trying the same again cannot help.
	KindInvalid
	// KindLimit is a limit that was hit; the message says which and what to change.
	KindLimit
)

type kindError struct {
	kind Kind
	err  error
}

func (e *kindError) Error() string { return e.err.Error() }
func (e *kindError) Unwrap() error { return e.err }

// Invalidf formats an error, as fmt.Errorf, of [KindInvalid].
func Invalidf(format string, args ...any) error {
	return &kindError{KindInvalid, fmt.Errorf(format, args...)}
}

// Limitf formats an error, as fmt.Errorf, of [KindLimit].
func Limitf(format string, args ...any) error {
	return &kindError{KindLimit, fmt.Errorf(format, args...)}
}

// KindOf returns the verdict of an error.
func KindOf(err error) Kind {
	var k *kindError
	if errors.As(err, &k) {
		return k.kind
	}
	return KindUnavailable
}

// Excess is the bound of a [Selection] that a read would have passed. Readers return it by [TooMany], so that whoever
// set the bound can say where it comes from.
type Excess struct {
	// Of is what there is too much of: [SeriesBound] or [SamplesBound].
	Of   string
	Most int
}

// The bounds of a [Selection].
const (
	SeriesBound  = "series"
	SamplesBound = "samples"
)

func (e *Excess) Error() string {
	if e.Of == SeriesBound {
		return fmt.Sprintf("the query selects more than %d series: choose fewer with more label matchers, or raise the limit", e.Most)
	}
	return fmt.Sprintf("the query reads more than %d %s: choose fewer series or a shorter time, or raise the limit", e.Most, e.Of)
}

// TooMany returns an error of [KindLimit] that holds an [Excess].
func TooMany(of string, most int) error { return &kindError{KindLimit, &Excess{of, most}} }
