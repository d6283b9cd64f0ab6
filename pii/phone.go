package pii

import "strings"

const (
	minPhoneDigits = 8
	maxPhoneDigits = 15
)

// findPhones finds international numbers, + and 8 to 15 digits, and American ones with the area code in brackets. Numbers
// without either look like any other number, and are left alone.
func findPhones(dst []span, s string) []span {
	for i := 0; i < len(s); i++ {
		to := 0
		switch {
		case isAlnum(before(s, i)):
		case s[i] == '+' && before(s, i) != '+':
			to = internationalEnd(s, i+1)
		case s[i] == '%' && (strings.HasPrefix(s[i:], "%2B") || strings.HasPrefix(s[i:], "%2b")):
			to = internationalEnd(s, i+3)
		case s[i] == '(':
			to = americanEnd(s, i)
		}
		if to > 0 {
			dst = append(dst, span{from: i, to: to})
			i = to - 1
		}
	}
	return dst
}

// internationalEnd returns where the number ends of which s[i] is the first digit, 0 where there is none.
func internationalEnd(s string, i int) int {
	if b := after(s, i); b < '1' || b > '9' {
		return 0
	}
	digits, separators, dots, gap, end := 0, 0, 0, 0, 0
	for ; i < len(s); i++ {
		if isDigit(s[i]) {
			digits, gap, end = digits+1, 0, i+1
			continue
		}
		if gap++; gap > 2 || !strings.Contains(" -.()/", s[i:i+1]) {
			break
		}
		if i+1 < len(s) && (isDigit(s[i+1]) || gap == 1) {
			separators++
			if s[i] == '.' {
				dots++
			}
		}
	}
	decimal := separators == 1 && dots == 1 // a signed number
	if digits < minPhoneDigits || digits > maxPhoneDigits || decimal || isAlnum(after(s, end)) {
		return 0
	}
	return end
}

// americanEnd returns where the (NPA) NXX-XXXX at s[i] ends, N being 2 to 9.
func americanEnd(s string, i int) int {
	const form = "(NXX) NXX-XXXX"
	at := 0
	for ; at < len(form); at, i = at+1, i+1 {
		b := after(s, i)
		switch form[at] {
		case 'N':
			if b < '2' || b > '9' {
				return 0
			}
		case 'X':
			if !isDigit(b) {
				return 0
			}
		case ' ':
			if b != ' ' {
				i-- // may be left out
			}
		case '-':
			if b != '-' && b != '.' && b != ' ' {
				return 0
			}
		default:
			if b != form[at] {
				return 0
			}
		}
	}
	if isAlnum(after(s, i)) {
		return 0
	}
	return i
}
