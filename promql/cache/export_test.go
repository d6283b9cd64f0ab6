package cache

// ForgetChanges makes the engine look anew for what has changed, as it does after a second.
func (e *Engine) ForgetChanges() {
	e.changes.mu.Lock()
	defer e.changes.mu.Unlock()
	clear(e.changes.known)
}

// ForgetAnswers makes the engine forget the answers of the last second.
func (e *Engine) ForgetAnswers() { e.hot.forget() }

// ForgetLocally empties the memory of the process.
func (e *Engine) ForgetLocally() { e.local.forget(func(string) bool { return true }) }
