"""What a trained pair knows: samples, latents, active units, anomalies, plots."""
