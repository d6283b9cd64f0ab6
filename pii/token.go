package pii

import (
	"encoding/base64"
	"strings"
)

// maxHeaderBytes bounds the header of a JWT that is looked into.
const maxHeaderBytes = 2048

// findJWTs finds header.payload.signature in base64url, the header a JSON object that names an algorithm; the signature
// may be empty.
func findJWTs(dst []span, s string) []span {
	for i := 0; ; {
		at := strings.Index(s[i:], "eyJ")
		if at < 0 {
			return dst
		}
		i += at
		if isBase64(before(s, i)) {
			i += 3
			continue
		}
		header := base64End(s, i)
		if after(s, header) != '.' || !namesAlgorithm(s[i:header]) {
			i = header
			continue
		}
		payload := base64End(s, header+1)
		if payload-header < 4 || after(s, payload) != '.' {
			i = payload
			continue
		}
		end := base64End(s, payload+1)
		dst = append(dst, span{from: i, to: end})
		i = end
	}
}

func isBase64(b byte) bool { return isAlnum(b) || b == '-' || b == '_' }

func base64End(s string, i int) int {
	for i < len(s) && isBase64(s[i]) {
		i++
	}
	return i
}

func namesAlgorithm(header string) bool {
	if len(header) > maxHeaderBytes {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(header)
	return err == nil && strings.Contains(string(raw), `"alg"`)
}

// keyShape is what a kind of key looks like: a prefix, and behind it at least so many characters, or exactly so many.
type keyShape struct {
	prefix string
	chars  func(byte) bool
	least  int
	exact  bool
}

// joined tells whether the underscore, the hyphen or the full stop inside a key stands where it has to.
func (k keyShape) joined(s string) bool {
	switch s[:3] {
	case "ms_":
		return s[19] == '_' && strings.Count(s, "_") == 2
	case "xox":
		return s[4] == '-'
	case "SG.":
		return s[25] == '.' && strings.Count(s, ".") == 2
	}
	return true
}

// shapeOf returns the shape that the text s, of at least four bytes, begins like; false where it begins like none.
func shapeOf(s string) (keyShape, bool) {
	k := keyShape{}
	switch s[:4] {
	case "AKIA", "ASIA": // AWS
		k = keyShape{s[:4], isUpperAlnum, 16, true}
	case "AIza": // Google
		k = keyShape{"AIza", isBase64, 35, true}
	case "ghp_", "gho_", "ghu_", "ghs_", "ghr_": // GitHub
		k = keyShape{s[:4], isAlnum, 36, false}
	case "gith":
		k = keyShape{"github_pat_", isBase64, 40, false}
	case "glpa": // GitLab
		k = keyShape{"glpat-", isBase64, 20, false}
	case "xoxa", "xoxb", "xoxe", "xoxp", "xoxr", "xoxs": // Slack; behind the prefix comes a hyphen
		k = keyShape{s[:4], isBase64, 11, false}
	case "sk_l", "rk_l": // Stripe
		k = keyShape{s[:2] + "_live_", isAlnum, 16, false}
	case "sk-p": // OpenAI
		k = keyShape{"sk-proj-", isBase64, 40, false}
	case "sk-a": // Anthropic
		k = keyShape{"sk-ant-", isBase64, 40, false}
	case "npm_":
		k = keyShape{"npm_", isAlnum, 36, true}
	case "xapp": // Slack
		k = keyShape{"xapp-", isBase64, 40, false}
	case "hvs.": // Vault
		k = keyShape{"hvs.", isBase64, 24, false}
	default:
		switch s[:3] {
		case "ms_": // MetricStream
			k = keyShape{"ms_", isOwnKey, 65, true}
		case "SG.": // SendGrid
			k = keyShape{"SG.", isDotted, 66, true}
		default:
			return k, false
		}
	}
	return k, strings.HasPrefix(s, k.prefix)
}

func isDotted(b byte) bool { return isBase64(b) || b == '.' }

func isUpperAlnum(b byte) bool { return isDigit(b) || b-'A' <= 'Z'-'A' }

func isOwnKey(b byte) bool { return isDigit(b) || b-'a' <= 'f'-'a' || b == '_' }

// findKeys finds keys to the interfaces of well-known services.
func findKeys(dst []span, s string) []span {
	for i := 0; i+15 <= len(s); i++ {
		switch s[i] {
		case 'A', 'S', 'g', 'h', 'm', 'n', 'r', 's', 'x':
		default:
			continue
		}
		if isAlnum(before(s, i)) {
			continue
		}
		k, ok := shapeOf(s[i:])
		if !ok {
			continue
		}
		end := i + len(k.prefix)
		for end < len(s) && k.chars(s[end]) {
			end++
		}
		n := end - i - len(k.prefix)
		if n < k.least || k.exact && (n > k.least || isAlnum(after(s, end))) || !k.joined(s[i:end]) {
			continue
		}
		dst = append(dst, span{from: i, to: end})
		i = end - 1
	}
	return dst
}
