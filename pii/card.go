package pii

// findCards finds numbers of 14 to 19 digits with the beginning and the length that an issuer of cards has, and a right
// check digit (Luhn); in one piece, or in groups with spaces or hyphens as they stand on cards.
func findCards(dst []span, s string) []span {
	for i := 0; i < len(s); {
		if !isDigit(s[i]) {
			i++
			continue
		}
		end := i
		for end < len(s) && isDigit(s[end]) {
			end++
		}
		if alone(s, i, end) {
			if isCard(s[i:end]) {
				dst = append(dst, span{from: i, to: end})
			} else if to := groupedEnd(s, i); to > 0 {
				dst = append(dst, span{from: i, to: to})
				end = to
			}
		}
		i = end
	}
	return dst
}

// alone tells whether digits are no part of a word or of a decimal number.
func alone(s string, from, to int) bool {
	if isAlnum(before(s, from)) || isAlnum(after(s, to)) {
		return false
	}
	if before(s, from) == '.' && from > 1 && isDigit(s[from-2]) {
		return false
	}
	return after(s, to) != '.' || !isDigit(after(s, to+1))
}

// groupedEnd returns where the card ends whose groups begin at i, 0 where there is none. Groups with hyphens must not go on
// before or behind it, as they do in a UUID.
func groupedEnd(s string, i int) int {
	for _, groups := range [...][]int{{4, 4, 4, 4}, {4, 6, 5}, {4, 6, 4}} {
		var digits [19]byte
		at, n, sep := i, 0, byte(0)
		for g, size := range groups {
			if g > 0 {
				b := after(s, at)
				if b != ' ' && b != '-' || sep != 0 && b != sep {
					break
				}
				sep = b
				at++
			}
			for ; size > 0 && isDigit(after(s, at)); size-- {
				digits[n] = s[at]
				n, at = n+1, at+1
			}
		}
		hyphens := sep == '-' && (before(s, i) == '-' || after(s, at) == '-' && isAlnum(after(s, at+1)))
		if n == total(groups) && !hyphens && !isAlnum(after(s, at)) && isCard(string(digits[:n])) {
			return at
		}
	}
	return 0
}

func total(sizes []int) (n int) {
	for _, size := range sizes {
		n += size
	}
	return n
}

// isCard tells whether digits are a card's number.
func isCard(digits string) bool {
	n := len(digits)
	if n < 14 || n > 19 {
		return false
	}
	prefix := 0
	for i := range 4 {
		prefix = 10*prefix + int(digits[i]-'0')
	}
	two := prefix / 100
	switch {
	case two == 34 || two == 37: // American Express
		return n == 15 && luhn(digits)
	case prefix >= 3000 && prefix <= 3059 || two == 36 || two == 38: // Diners Club
		return n == 14 && luhn(digits)
	case two == 62: // UnionPay
		return n >= 16 && luhn(digits)
	case prefix >= 4000 && prefix <= 4999, // Visa
		two >= 51 && two <= 55, prefix >= 2221 && prefix <= 2720, // Mastercard
		prefix >= 3528 && prefix <= 3589,                       // JCB
		prefix == 6011, two == 65, prefix >= 6440 && two == 64: // Discover
		return n == 16 && luhn(digits)
	}
	return false
}

func luhn(digits string) bool {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
