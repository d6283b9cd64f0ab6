package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	// verifiedFor is how long a good password is remembered, so that not every request costs the 50 ms of its hash.
	verifiedFor = 5 * time.Minute

	// maxVerified bounds what is remembered, and checksAtOnce how much of the machine passwords can take.
	maxVerified  = 10_000
	checksAtOnce = 2
)

// nobody is a hash of a password that was thrown away: a user who is not there takes as long as one who is.
const nobody = "$2a$10$CS1HmI9pHOlYv6c6hR1eiu2OHkvf3kA1Rv55J/d0ETP.vbKiRntvm"

// passwords checks passwords against their hashes.
type passwords struct {
	secret [32]byte // of this process
	slots  chan struct{}

	mu       sync.Mutex
	verified map[[sha256.Size]byte]time.Time // until when
}

func newPasswords() *passwords {
	p := &passwords{slots: make(chan struct{}, checksAtOnce), verified: map[[sha256.Size]byte]time.Time{}}
	rand.Read(p.secret[:]) // never fails, see its documentation
	return p
}

// good tells whether a hash is of a password; no hash is of none. An error is that ctx ended first.
func (p *passwords) good(ctx context.Context, hash, password string, now time.Time) (bool, error) {
	// The hash is another one for each user and each change, so what is remembered ends with the password.
	id := p.identity(hash, password)
	if hash != "" && p.remembers(id, now) {
		return true, nil
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if hash == "" {
		_ = bcrypt.CompareHashAndPassword([]byte(nobody), []byte(password))
		return false, nil
	}
	if p.remembers(id, now) { // while this one waited
		return true, nil
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
		return false, nil
	}
	p.remember(id, now)
	return true, nil
}

// identity does not tell the password to who reads the memory later.
func (p *passwords) identity(hash, password string) (id [sha256.Size]byte) {
	m := hmac.New(sha256.New, p.secret[:])
	m.Write([]byte(hash)) // always of the same length
	m.Write([]byte(password))
	m.Sum(id[:0])
	return id
}

func (p *passwords) remembers(id [sha256.Size]byte, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Before(p.verified[id])
}

func (p *passwords) remember(id [sha256.Size]byte, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.verified) >= maxVerified {
		clear(p.verified)
	}
	p.verified[id] = now.Add(verifiedFor)
}
