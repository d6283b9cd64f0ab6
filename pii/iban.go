package pii

// ibanLengths are the countries with IBANs, each with the length of theirs.
const ibanLengths = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28" +
	"IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33" +
	"SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30"

// findIBANs finds IBANs of the right length for their country and with right check digits, in one piece or in groups of four.
func findIBANs(dst []span, s string) []span {
	for i := 0; i+15 <= len(s); i++ {
		if !isLetter(s[i]) || !isLetter(s[i+1]) || !isDigit(s[i+2]) || !isDigit(s[i+3]) || isAlnum(before(s, i)) {
			continue
		}
		if to := ibanEnd(s, i); to > 0 {
			dst = append(dst, span{from: i, to: to})
			i = to - 1
		}
	}
	return dst
}

// ibanEnd returns where the IBAN ends that begins at i, 0 where there is none.
func ibanEnd(s string, i int) int {
	length := ibanLength(upper(s[i]), upper(s[i+1]))
	if length == 0 {
		return 0
	}
	var all [34]byte
	n := 0
	for ; n < length; i++ {
		b := after(s, i)
		switch {
		case isAlnum(b):
			all[n] = upper(b)
			n++
		case (b == ' ' || b == '-') && n > 0 && n%4 == 0 && isAlnum(before(s, i)):
		default:
			return 0
		}
	}
	if isAlnum(after(s, i)) || mod97(all[4:n], all[:4]) != 1 {
		return 0
	}
	return i
}

func ibanLength(a, b byte) int {
	for i := 0; i < len(ibanLengths); i += 4 {
		if ibanLengths[i] == a && ibanLengths[i+1] == b {
			return 10*int(ibanLengths[i+2]-'0') + int(ibanLengths[i+3]-'0')
		}
	}
	return 0
}

func upper(b byte) byte {
	if isLetter(b) {
		return b &^ 0x20
	}
	return b
}

// mod97 returns the remainder of the number that the characters stand for, letters being 10 to 35.
func mod97(parts ...[]byte) (m int) {
	for _, p := range parts {
		for _, b := range p {
			if isDigit(b) {
				m = (10*m + int(b-'0')) % 97
			} else {
				m = (100*m + int(b-'A') + 10) % 97
			}
		}
	}
	return m
}
