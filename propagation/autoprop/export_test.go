package waybillautoprop

// Unbind is for tests: a program binds once.
func Unbind() { registered.bound.Store(nil) }
