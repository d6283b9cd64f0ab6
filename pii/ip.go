package pii

import (
	"net/netip"
	"strings"
)

// findIPv4 finds four octets without leading zeros that are no part of a longer number or word. 0.0.0.0/8 and 127.0.0.0/8 are
// nobody's address, and neither is 255.255.255.255.
func findIPv4(dst []span, s string) []span {
	for i := 0; i < len(s); {
		if !isDigit(s[i]) {
			i++
			continue
		}
		to, ok := octets(s, i)
		if b := before(s, i); ok && !isAlnum(b) && b != '.' {
			dst = append(dst, span{from: i, to: to})
			i = to
			continue
		}
		for i < len(s) && (isAlnum(s[i]) || s[i] == '.') {
			i++
		}
	}
	return dst
}

// octets returns where the four octets that begin at i end, if that is an address.
func octets(s string, i int) (end int, ok bool) {
	var all [4]int
	for n := range all {
		if n > 0 {
			if after(s, i) != '.' {
				return 0, false
			}
			i++
		}
		from := i
		for i < len(s) && isDigit(s[i]) && i-from < 4 {
			all[n] = 10*all[n] + int(s[i]-'0')
			i++
		}
		if i == from || i-from > 3 || all[n] > 255 || i-from > 1 && s[from] == '0' {
			return 0, false
		}
	}
	next := after(s, i)
	if isAlnum(next) || next == '.' && isDigit(after(s, i+1)) {
		return 0, false
	}
	return i, all[0] != 0 && all[0] != 127 && all != [4]int{255, 255, 255, 255}
}

// maxColonBytes bounds what is looked at for one IPv6 address, the longest of which has maxIPv6Bytes: what stands around it in
// a list with colons comes to it.
const (
	maxColonBytes = 80
	maxIPv6Bytes  = 45
)

// findIPv6 finds addresses of the ranges that machines have.
func findIPv6(dst []span, s string) []span {
	for i := 0; i < len(s); {
		if !isHex(s[i]) && s[i] != ':' {
			i++
			continue
		}
		end := i
		for end < len(s) && (isHex(s[end]) || s[end] == ':' || s[end] == '.') {
			end++
		}
		if end-i <= maxColonBytes && strings.Count(s[i:end], ":") >= 2 {
			dst = addressIn(dst, s, i, end)
		}
		i = end
	}
	return dst
}

// addressIn finds the longest address from the earliest group in s[from:to], which has nothing but hexadecimal digits, colons
// and dots.
func addressIn(dst []span, s string, from, to int) []span {
	for i := from; i < to; i++ {
		if b := before(s, i); i > from && b != ':' || i == from && isAlnum(b) {
			continue // in the middle of a group, or of a word
		}
		if strings.IndexByte("23fF06:", s[i]) < 0 {
			continue // not of a range that is looked for
		}
		for end := min(to, i+maxIPv6Bytes); end-i >= 4; end-- {
			if next := after(s, end); isAlnum(next) || next == ':' && s[end-1] == ':' {
				continue
			}
			if a, err := netip.ParseAddr(s[i:end]); err == nil && personal(a) {
				return addressIn(append(dst, span{from: i, to: end}), s, end, to)
			}
		}
	}
	return dst
}

// personal tells whether an IPv6 address is a machine's: global, unique local, link local, or an IPv4 address written as one.
func personal(a netip.Addr) bool {
	b := a.As16()
	switch {
	case !a.Is6() || a.IsUnspecified() || a.IsLoopback():
		return false
	case a.Is4In6(), b[0] == 0 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b:
		return true
	}
	return b[0]&0xe0 == 0x20 || b[0]&0xfe == 0xfc || b[0] == 0xfe && b[1]&0xc0 == 0x80
}
