package plan

// Cached says what of an answer was remembered. It is made for JSON.
type Cached struct {
	// Result is hit, partial, miss or bypass; Why says why the answer is none that is remembered.
	Result string `json:"result"`
	Why    string `json:"why,omitempty"`

	// Steps are those of the query, Remembered how many of them were not evaluated.
	Steps      int `json:"steps"`
	Remembered int `json:"remembered"`
}
