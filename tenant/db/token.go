package db

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// A key as its owner has it is ms_ID_SECRET, ID and SECRET in hexadecimal digits. What stands before the secret is the
// prefix, which is shown and logged so that keys can be told apart.
//
// Only the SHA-256 of the whole is stored. A slow hash such as bcrypt is for passwords, which people choose and which
// can be guessed: a secret of 192 random bits cannot, however fast the hash is, and a slow one would cost each request
// more than all the rest of it.
const (
	tokenStart  = "ms_"
	idBytes     = 8
	secretBytes = 24
	tokenLen    = len(tokenStart) + 2*idBytes + 1 + 2*secretBytes
	prefixLen   = len(tokenStart) + 2*idBytes
)

type hash [sha256.Size]byte

// newToken makes the secret of a new key.
func newToken() (token, id string, h hash) {
	b := make([]byte, idBytes+secretBytes)
	rand.Read(b) // never fails, see its documentation
	id = hex.EncodeToString(b[:idBytes])
	token = tokenStart + id + "_" + hex.EncodeToString(b[idBytes:])
	return token, id, sha256.Sum256([]byte(token))
}

// TokenID returns the id that a token says to be of, and whether it has the form of one.
func TokenID(token string) (id string, ok bool) {
	if len(token) != tokenLen || !strings.HasPrefix(token, tokenStart) || token[prefixLen] != '_' {
		return "", false
	}
	return token[len(tokenStart):prefixLen], true
}

// of tells in constant time whether it is the hash of a token.
func (h hash) of(token string) bool {
	got := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(h[:], got[:]) == 1
}
