// Package sqlgen writes the statements that read series and samples, as pure functions. Nothing that comes from
// outside is ever part of a statement's text: values travel as query parameters.
package sqlgen

import (
	"strconv"
	"strings"
)

// Statement is the text of a statement and its parameters.
type Statement struct {
	Text   string
	Params []Param

	// Small says that few rows are read.
	Small bool
}

// Param is a query parameter. Value is as the native protocol wants it: a quoted string that holds the value as
// ClickHouse's text formats write it.
type Param struct{ Name, Value string }

// builder collects the conditions of a statement.
type builder struct {
	conditions []string
	params     []Param
	small      bool
}

func (b *builder) where(condition string) { b.conditions = append(b.conditions, condition) }

// text adds a parameter and returns how the statement refers to it.
func (b *builder) text(value string) string {
	return b.param("String", quote(Escape(value)))
}

func (b *builder) texts(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return b.param("Array(String)", quote("["+strings.Join(quoted, ",")+"]"))
}

func (b *builder) int64(v int64) string {
	return b.param("Int64", quote(strconv.FormatInt(v, 10)))
}

func (b *builder) param(typ, value string) string {
	name := "p" + strconv.Itoa(len(b.params))
	b.params = append(b.params, Param{name, value})
	return "{" + name + ":" + typ + "}"
}

func (b *builder) statement(parts ...string) Statement {
	text := strings.Join(parts, " ")
	text = strings.Replace(text, "$WHERE", "WHERE "+strings.Join(b.conditions, " AND "), 1)
	return Statement{Text: text, Params: b.params, Small: b.small}
}

// Escape writes a string as a field of the TSV format, in which a parameter of type String is read.
func Escape(v string) string {
	return tsv.Replace(v)
}

// quote writes a string as a quoted literal, in which every parameter travels, and elements of arrays in it.
func quote(v string) string {
	return "'" + literal.Replace(v) + "'"
}

var (
	tsv     = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)
	literal = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)
)
