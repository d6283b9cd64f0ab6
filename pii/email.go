package pii

import "strings"

const (
	maxLocalBytes  = 64
	maxDomainBytes = 253
)

// findEmails finds local@domain.tld, also with %40 for the @ as in URLs. The local part "git" is nobody's: it stands in
// the addresses of repositories.
func findEmails(dst []span, s string) []span {
	done := 0 // what lies before belongs to a finding
	for i := 0; i < len(s); i++ {
		n := atSign(s[i:])
		if n == 0 {
			continue
		}
		from := i
		for from > done && i-from < maxLocalBytes && isLocal(s[from-1]) {
			from--
		}
		for from < i && (s[from] == '.' || s[from] == '\'') {
			from++
		}
		if to := domainEnd(s, i+n); to > 0 && from < i && s[from:i] != "git" {
			dst = append(dst, span{from: from, to: to})
			done = to
			i = to - 1
		}
	}
	return dst
}

// atSign returns the length of the @ that s begins with, 0 without one.
func atSign(s string) int {
	switch {
	case s[0] == '@':
		return 1
	case s[0] == '%' && strings.HasPrefix(s, "%40"):
		return 3
	}
	return 0
}

func isLocal(b byte) bool {
	return isAlnum(b) || b == '.' || b == '_' || b == '+' || b == '-' || b == '\'' || b == '%' || b >= 0x80
}

// domainEnd returns where the domain that begins at from ends, behind its last label that can be a top-level one; 0 is
// that there is no domain.
func domainEnd(s string, from int) (end int) {
	if version(s[from:]) {
		return 0
	}
	label := from // where the label begins
	for i := from; i <= len(s) && i-from <= maxDomainBytes; i++ {
		b := after(s, i)
		if isAlnum(b) || b == '-' && i > label || b >= 0x80 {
			continue
		}
		if i == label {
			return end // an empty label
		}
		if label > from {
			if tld := topLevel(s, label, i); tld > 0 {
				end = tld
			}
		}
		if b != '.' {
			return end
		}
		label = i + 1
	}
	return end
}

// topLevel returns where the letters at the beginning of a label end, if that can be a top-level domain.
func topLevel(s string, from, to int) int {
	i := from
	for i < to && (isLetter(s[i]) || s[i] >= 0x80) {
		i++
	}
	if i-from < 2 || i < to && s[i] != '-' {
		return 0
	}
	return i
}

// version tells whether s begins like the 1.2.3-rc.one or v1.2 behind the @ of a package.
func version(s string) bool {
	s = strings.TrimPrefix(s, "v")
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return i > 0 && i+1 < len(s) && s[i] == '.' && isDigit(s[i+1])
}
