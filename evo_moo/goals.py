"""Objectives and limits over named metrics, and their translation into pymoo's F, G and H."""
