package ha

import "context"

// Shared is the state of the elections that several receivers share. Ask applies [Decide] to each question, at once
// and one after the other, and returns what then holds, in the order of the questions. An error says nothing about
// what was applied.
type Shared interface {
	Ask(ctx context.Context, asks []Ask) ([]View, error)
}
