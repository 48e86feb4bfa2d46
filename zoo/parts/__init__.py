"""p(a | b) as modules: priors, posteriors, likelihoods."""
